"""A real browser for the tests of pages: what a page that was opened from the disk told."""

import base64
import json
import re
import shutil
import subprocess
from urllib.parse import unquote

import pytest

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
BROWSER = next(filter(None, map(shutil.which, NAMES)), None)
needed = pytest.mark.skipif(
    BROWSER is None, reason="no chromium or chrome is installed (Debian: apt-get install chromium)"
)


def told(folder, attribute, dark=False):
    """Return what the script of <folder>/frame.html put into an attribute, as base64 of JSON."""
    flags = [
        "headless",
        "no-sandbox",
        "disable-gpu",
        "disable-quic",
        "no-first-run",
        "disable-sync",
        "disable-background-networking",
        "disable-component-update",
        f"user-data-dir={folder / 'profile'}",
        "window-size=1700,900",
        "virtual-time-budget=10000",
        "dump-dom",
        f"blink-settings=preferredColorScheme={0 if dark else 1}",
    ]
    command = [BROWSER, *(f"--{flag}" for flag in flags), (folder / "frame.html").as_uri()]
    process = subprocess.run(command, capture_output=True, text=True, timeout=120)
    answer = re.search(rf'{attribute}="([^"]*)"', process.stdout)
    assert answer, f"the page told nothing: {process.stderr[-500:]}"
    return json.loads(unquote(base64.b64decode(answer[1]).decode()))


def brightness(colour):
    """Return the mean of the three channels of a computed colour."""
    return sum(map(int, re.findall(r"\d+", colour)[:3])) / 3
