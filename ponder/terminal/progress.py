"""How far a long piece of work is: a bar on a terminal, a plain line now and then in a log file."""

import sys
import time
from types import TracebackType
from typing import Protocol

from tqdm import tqdm

PARTS = 10  # a log file has a line for each tenth
SECONDS = 60.0  # and one a minute where a tenth takes longer


class Bar(Protocol):
    """What counts the work that is done; a context that closes it."""

    def __enter__(self) -> "Bar":
        """Return the bar."""

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close it."""

    def update(self, n: float | None = 1) -> bool | None:
        """Count `n` more units."""

    def set_postfix_str(self, s: str = "", refresh: bool = True) -> None:
        """Say something beside the count."""

    def close(self) -> None:
        """Count no more."""


class Lines:
    """A bar for what is no terminal: a line on stderr for each tenth, and at least one a minute."""

    def __init__(self, total: int, unit: str, title: str, done: int) -> None:
        self.total, self.unit, self.title = total, unit, title
        self.first = self.done = self.written = done
        self.began = self.written_at = time.monotonic()
        self.note = ""

    def __enter__(self) -> Bar:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def update(self, n: float | None = 1) -> None:
        """Count `n` more units, and write a line where one is due."""
        self.done += int(n or 0)
        tenths = self.done * PARTS // self.total > self.written * PARTS // self.total
        if tenths or time.monotonic() - self.written_at >= SECONDS:
            self._write()

    def set_postfix_str(self, s: str = "", refresh: bool = True) -> None:
        """Say `s` at the end of each line from now on; with `refresh` in a line of its own, too."""
        self.note = s
        if refresh:
            self._write()

    def close(self) -> None:
        """Count no more; a log file needs nothing for that."""

    def _write(self) -> None:
        self.written, self.written_at = self.done, time.monotonic()
        seconds = self.written_at - self.began
        times = tqdm.format_interval(seconds)
        if self.first < self.done < self.total:
            left = seconds / (self.done - self.first) * (self.total - self.done)
            times += f", about {tqdm.format_interval(left)} left"
        text = f"{self.title}: {self.done}/{self.total} {self.unit}s in {times}"
        print(f"{text}, {self.note}" if self.note else text, file=sys.stderr, flush=True)


def bar(total: int, unit: str, title: str, done: int = 0, shown: bool = True) -> Bar:
    """Return a bar for `total` units of work, `done` of them by an earlier process.

    Of several processes that do the work together one shows it.
    """
    if not shown or sys.stderr.isatty():
        return tqdm(total=total, initial=done, unit=unit, desc=title, disable=not shown)
    return Lines(total, unit, title, done)
