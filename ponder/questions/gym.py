"""Questions of the library reasoning-gym, which some of the families are adapted from.

A library question keeps the library's sentence and loses the text that explains an answer format,
because a prompt token costs as much as a trace token. The library is imported only while questions
are drawn: reading drawn questions never needs it.
"""

import importlib.metadata
import importlib.util
import itertools
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ponder.errors import UserError


def is_installed() -> bool:
    """Return whether the library can be imported here."""
    try:
        library_version()
    except UserError:
        return False
    return True


def library_version() -> str:
    """Return the installed version of reasoning-gym, or raise UserError if there is none."""
    try:
        import reasoning_gym  # noqa: F401

        return importlib.metadata.version("reasoning-gym")
    except ImportError as error:
        raise UserError(
            "reasoning-gym is not installed and is needed to draw questions: "
            "run `pip install -e .[gen]`, or use the committed questions (source: committed)"
        ) from error


def data_set(name: str, params: dict[str, Any], seed: int, size: int = 1) -> Any:
    """Return a data set of the library; `size` bounds its entries only where its module says so.

    Raises UserError where the library is absent or refuses the parameters.
    """
    library_version()
    import reasoning_gym

    base = random.Random(f"candidates/{name}/{seed}").getrandbits(32)
    try:
        return reasoning_gym.create_dataset(name, seed=base, size=size, **params)
    except (AssertionError, TypeError, ValueError) as error:
        raise UserError(
            f"reasoning-gym refuses the parameters {params} of family {name!r} ({error}): "
            "correct them in the questions configuration"
        ) from error


def entries(name: str, params: dict[str, Any], seed: int) -> Iterator[dict[str, Any]]:
    """Yield the library's entries of one data set without end.

    Raises UserError as data_set does.
    """
    made = data_set(name, params, seed)
    # The library makes entry i from its seed and i alone; size bounds nothing we use.
    for index in itertools.count():
        yield made[index]


def template_sources() -> list[str]:
    """Return the texts of the modules with the templates of gsm_symbolic, in order.

    Raises UserError where the library is absent.
    """
    library_version()
    package = importlib.util.find_spec("reasoning_gym.arithmetic.gsm_symbolic")
    places = package.submodule_search_locations if package else None
    paths = sorted(path for place in places or () for path in Path(place).glob("generators_*.py"))
    return [path.read_text(encoding="utf-8") for path in paths]


def between(text: str, head: str, tail: str, name: str) -> str:
    """Return what stands between head and tail, which must be the two ends of text.

    Raises UserError otherwise: the library's template is not the one cut here.
    """
    if not (text.startswith(head) and text.endswith(tail)):
        raise UserError(
            f"reasoning-gym words its {name!r} questions differently from version 0.1.25: "
            "install reasoning-gym==0.1.25"
        )
    return text[len(head) : len(text) - len(tail)]
