"""A part of a bench in a process of its own, so that no arm inherits what another one left."""

import json
import os
import subprocess
import sys
from pathlib import Path


def in_a_process(script, *arguments):
    """Return the JSON that a script prints as its last line; SystemExit where it fails."""
    done = subprocess.run(
        [sys.executable, script, *map(str, arguments)],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONWARNINGS": "ignore"},
    )
    if done.returncode:
        words = " ".join([Path(script).name, *map(str, arguments)])
        raise SystemExit(f"{words} failed:\n{done.stderr}")
    return json.loads(done.stdout.splitlines()[-1])
