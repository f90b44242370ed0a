"""The command line of the three scripts: Hydra composes it, and one job or several run.

Hydra is imported where Ctrl-C is handled already (ponder/terminal/signals.py), and tells no mistake
itself: ponder/terminal/overrides.py says it in a sentence, with exit code 2.
"""

import functools
import os
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from ponder.errors import UserError, exit_code, message, user_errors
from ponder.terminal import load, signals
from ponder.terminal.signals import Terminated

if TYPE_CHECKING:
    from argparse import Namespace

    from omegaconf import DictConfig

Main = Callable[[Any], None]  # of a composed config


def command(stage: str) -> Callable[[Main], Callable[..., None]]:
    """Return a decorator: a script's `main(cfg)` as the command over conf/<stage>.yaml.

    The command reads sys.argv; called with a config, it runs on that instead. Each job of -m runs,
    whatever becomes of the others; the last line names those that failed, and the exit code is 2
    where a user can mend all of them, else 1.
    """

    def decorate(main: Main) -> Callable[..., None]:
        @functools.wraps(main)
        @user_errors
        def run(cfg: "DictConfig | None" = None) -> None:
            if cfg is not None:
                return with_values(main, cfg)
            with signals.handled():
                load.wait_briefly()
                os.environ["HYDRA_FULL_ERROR"] = "1"
                if not sys.stderr.isatty():  # bars of downloads are for a terminal
                    os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")
                from ponder.terminal import overrides

                jobs = _Jobs(main, overrides.arguments())
                jobs.compose_and_run(stage)
                jobs.report()

        return run

    return decorate


def with_values(main: Main, cfg: "DictConfig") -> None:
    """Run `main`; raises UserError for a ${...} that has no value."""
    from omegaconf.errors import OmegaConfBaseException

    try:
        main(cfg)
    except OmegaConfBaseException as error:
        from ponder.terminal import overrides

        raise UserError(overrides.unresolved(error, cfg)) from None


class _Jobs:
    """The one job of a command line, or the several of -m, and what became of them."""

    def __init__(self, main: Main, arguments: "Namespace") -> None:
        self.main, self.arguments = main, arguments
        self.process = os.getpid()
        self.count = 0
        self.failures: dict[str, int] = {}  # exit codes by what tells a job from the others
        self.error: BaseException | None = None  # of one that has none after it

    def compose_and_run(self, stage: str) -> None:
        """Let Hydra compose all jobs, and run them.

        Raises UserError for what cannot be composed, before a job runs.
        """
        import hydra
        from hydra.errors import HydraException

        from ponder.terminal import overrides

        tree = overrides.tree_of(self.arguments, stage)
        main = hydra.main(version_base="1.3", config_path=str(overrides.CONF), config_name=stage)
        try:
            main(functools.update_wrapper(functools.partial(self._run), self.main))()
        except Exception as error:  # Hydra's own, for _run raises none
            if isinstance(error, OSError) and not isinstance(error, HydraException):
                raise  # a folder that cannot be made
            words, several = self.arguments.overrides, self.arguments.multirun
            raise UserError(overrides.mistake(error, tree, words, several)) from None

    def _run(self, cfg: "DictConfig") -> None:
        """Run a job and note how it failed; Hydra would tell it in its own words.

        In a process of a launcher (joblib, submitit) nobody reads the note: there it raises, and
        the launcher hands the error back to the process that waits for it.
        """
        from hydra.core.hydra_config import HydraConfig
        from hydra.types import RunMode

        if self.error:
            return
        self.count += 1
        try:
            with_values(self.main, cfg)
        except Terminated:
            raise
        except (Exception, SystemExit) as error:
            if os.getpid() != self.process:
                raise
            several = HydraConfig.get().mode == RunMode.MULTIRUN
            if not several or int(os.environ.get("WORLD_SIZE", "1")) > 1:
                self.error = error  # the processes of torchrun could not go on together
                return
            words = [
                w for w in HydraConfig.get().overrides.task if w not in self.arguments.overrides
            ]
            import traceback

            line = message(error) or "".join(traceback.format_exception(error)).rstrip()
            print(line, file=sys.stderr, flush=True)
            self.failures[" ".join(words) or f"job {self.count}"] = exit_code(error)

    def report(self) -> None:
        """Raise what ended the only job; of several, name those that failed and leave."""
        if self.error:
            raise self.error
        if self.failures:
            jobs = f"{len(self.failures)} of {self.count} jobs failed"
            print(f"error: {jobs}: {'; '.join(self.failures)}", file=sys.stderr)
            sys.exit(2 if set(self.failures.values()) == {2} else 1)
