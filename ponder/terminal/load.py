"""Whether other programs keep this machine busy: then training and decoding are much slower."""

import os


def warning() -> str:
    """Return a sentence where more is running than there are cores, and "" elsewhere.

    It is the load of the last minute (getloadavg(3)). Threads of OpenMP wait for each other by
    spinning, so a step that shares its cores can take twenty times as long.
    """
    cores = (
        len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    )
    try:
        load = os.getloadavg()[0]
    except OSError:
        return ""  # the system does not say
    if load <= cores:
        return ""
    return (
        f"warning: the load of this machine is {load:.1f} on {cores} cores, so others are running "
        "and this may take many times as long; wait for them, or set OMP_WAIT_POLICY=passive"
    )
