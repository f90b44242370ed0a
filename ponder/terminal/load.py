"""Whether other programs keep this machine busy, and how threads wait for each other then."""

import os

# Rounds that a thread of GNU OpenMP looks for work before it sleeps; its own default is 300,000. On
# shared cores those rounds are taken from the very thread that is waited for (decision 0047).
SPINS = 3000


def cores() -> int:
    """Return the cores that this process may run on."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


# Looked up before OpenMP binds this thread to one of them.
CORES = cores()


def wait_briefly() -> None:
    """Let the threads of OpenMP sleep soon where they wait, unless the environment says how.

    To be called before torch is imported, which reads it once.
    """
    if "OMP_WAIT_POLICY" not in os.environ:
        os.environ.setdefault("GOMP_SPINCOUNT", str(SPINS))


def warning() -> str:
    """Return a sentence where more is running than there are cores, and "" elsewhere.

    It is the load of the last minute (getloadavg(3)).
    """
    try:
        load = os.getloadavg()[0]
    except OSError:
        return ""  # the system does not say
    if load <= CORES:
        return ""
    return (
        f"warning: the load of this machine is {load:.1f} on {CORES} cores, so others are running "
        "and this takes much longer; wait for them"
    )
