"""A composed config as plain values that may be passed on: nothing of the environment is in them.

What a run is made of is written into its folder, its name and its mirror, and released.
"""

import contextlib
import copy
import os
from collections.abc import Iterator, Mapping
from typing import Any

from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException
from omegaconf.resolvers import oc

from ponder.errors import UserError
from ponder.record import leaks

# Read the environment, or what Hydra knows of the machine.
READERS = ("oc.env", "hydra")
PLACE = "out"  # where runs lie; no run records it, so it may come from the environment


def values(cfg: DictConfig, environment: Mapping[str, str] = os.environ) -> dict[str, Any]:
    """Return a config as plain values, each ${...} resolved.

    Raises UserError for a key that reads the environment, `out` alone excepted, and for one that
    holds the value of a variable named like a key.
    """
    cfg = copy.deepcopy(cfg)
    OmegaConf.set_readonly(cfg, False)
    if PLACE in cfg and not OmegaConf.is_missing(cfg, PLACE):
        cfg[PLACE] = cfg[PLACE]
    with _readers_refused() as refusals:
        try:
            plain: Any = OmegaConf.to_container(cfg, resolve=True)
        except OmegaConfBaseException:
            if refusals:
                raise UserError(refusals[0]) from None
            raise
    for key, value in _texts(plain):
        if variable := key != PLACE and leaks.key_variable(value, environment):
            raise UserError(
                f"{key} holds the value of the environment variable {variable}, a key by its name, "
                "and what a run records is passed on; give another value"
            )
    return plain


@contextlib.contextmanager
def _readers_refused() -> Iterator[list[str]]:
    """While it is open, each of READERS raises, however it is reached; yield what they then say."""
    from hydra.core.utils import setup_globals

    refusals: list[str] = []
    for reader in READERS:
        OmegaConf.register_new_resolver(reader, _refusal(reader, refusals), replace=True)
    try:
        yield refusals
    finally:
        OmegaConf.register_new_resolver("oc.env", oc.env, replace=True)
        setup_globals()  # Hydra's own


def _refusal(reader: str, refusals: list[str]) -> Any:
    def refuse(*arguments: Any, _node_: Any = None) -> None:
        key = _node_._get_full_key(None) if _node_ is not None else "a key"
        refusals.append(
            f"{key} reads the environment with ${{{reader}:...}}, and what a run records is passed "
            f"on; write the value itself (only {PLACE} may read it)"
        )
        raise ValueError(refusals[-1])

    return refuse


def _texts(value: Any, where: str = "") -> Iterator[tuple[str, str]]:
    """Yield (dotted key, text) of every text in plain values; of the name of a key its parent."""
    if isinstance(value, dict):
        for name, inner in value.items():
            yield where or "the config", str(name)
            yield from _texts(inner, f"{where}.{name}" if where else str(name))
    elif isinstance(value, list):
        for number, inner in enumerate(value):
            yield from _texts(inner, f"{where}[{number}]")
    elif isinstance(value, str):
        yield where, value
