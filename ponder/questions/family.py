"""What a family of questions is, and the words that the families share.

A family is one module in ponder/questions/families with a `FAMILY` in it; its name is the name of
its file. conf/README.md, "A new family", shows how one is added.
"""

import contextlib
import inspect
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ponder.errors import UserError

LIBRARY, OWN = "reasoning-gym", "ponder"

# (name, pronoun): the names of people in the families written here.
PEOPLE = (
    ("Mia", "She"),
    ("Leo", "He"),
    ("Ann", "She"),
    ("Bo", "He"),
    ("Eva", "She"),
    ("Max", "He"),
    ("Zoe", "She"),
    ("Sam", "He"),
    ("Ida", "She"),
    ("Tom", "He"),
    ("Amy", "She"),
    ("Ben", "He"),
    ("Kim", "She"),
    ("Dan", "He"),
    ("Lia", "She"),
    ("Jack", "He"),
    ("Rose", "She"),
    ("Paul", "He"),
    ("Nora", "She"),
    ("Mark", "He"),
)

Facts = dict[str, Any]
TAKES = {  # what each function of a family is given
    "candidates": ("params", "seed"),
    "key": ("facts",),
    "steps": ("facts",),
    "answer": ("steps",),
}


@dataclass(frozen=True)
class Candidate:
    """A question before it has an id: its text, its answer and the facts a solver needs.

    Facts are what JSON can hold: they are read back from a file before anybody solves them.
    """

    question: str
    answer: str
    facts: Facts


@dataclass(frozen=True)
class Step:
    """One line of thinking: text, then value.

    `wrong` holds plausible wrong values; a step with none cannot be doubted.
    """

    text: str
    value: str
    wrong: tuple[str, ...] = ()

    @property
    def line(self) -> str:
        """The line as it is thought."""
        return self.text + self.value


def last_value(steps: Sequence[Step]) -> str:
    """Return the value of the last step: the answer of most families."""
    return steps[-1].value


@dataclass(frozen=True)
class Family:
    """One family: where its questions come from, when two are the same, and how one is solved.

    `origin` says who wrote it and `licence` what its questions may be used under; both stand in the
    data card. `params` names its parameters, whose values stand in the configuration, and `most`
    the largest value of those that have one. `candidates(params, seed)` yields questions without
    end, the same ones for the same seed; None stands for a draw that is no fair question. Two
    questions whose facts have one `key` are one question. `steps` are the thinking that leads from
    the facts to the answer, and `answer` reads the answer off them; `steps` is None where
    no program writes the thinking, so that the family needs a model as its teacher.
    """

    origin: str
    licence: str
    params: tuple[str, ...]
    candidates: Callable[[dict[str, int], int], Iterator[Candidate | None]]
    key: Callable[[Facts], str]
    steps: Callable[[Facts], list[Step]] | None = None
    answer: Callable[[Sequence[Step]], str] = last_value
    most: Mapping[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Raise TypeError for a field that is no function of what it will be given."""
        for name, arguments in TAKES.items():
            function = getattr(self, name)
            if function is None and name == "steps":
                continue
            try:
                inspect.signature(function).bind(*arguments)
            except ValueError:  # of a built-in function nobody can tell what it takes
                continue
            except TypeError as error:
                raise TypeError(
                    f"{name} must be a function of ({', '.join(arguments)}): {error}"
                ) from error


@contextlib.contextmanager
def faults_told(name: str) -> Iterator[None]:
    """Raise UserError, with the line of the module, for what goes wrong in the module of a family.

    An error that passed no line of it is not its fault and stays as it is.
    """
    try:
        yield
    except UserError:
        raise
    except Exception as error:
        path = f"ponder/questions/families/{name}.py"
        frames = traceback.extract_tb(error.__traceback__)
        lines = [frame.lineno for frame in frames if frame.filename.endswith(path)]
        said = str(error)
        if isinstance(error, SyntaxError) and (error.filename or "").endswith(path):
            lines, said = [error.lineno], error.msg
        if not lines:
            raise
        what = " ".join([type(error).__name__, *said.splitlines()[:1]])
        raise UserError(f"{path} line {lines[-1]}: {what}; mend the module") from error
