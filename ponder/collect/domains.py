"""The domain of each question, which diversity draws by: its family, a column of its file, or a classifier's label.

Pure functions: what asks a server is passed in. s1 let a closed model choose one of 61 classes (section 2.2); here any
model behind the teachers' client does, and a reply that is not exactly one code is "unclassified", never guessed at.
"""

import dataclasses
import re
from dataclasses import dataclass
from typing import Literal

from ponder.api import limits, wire
from ponder.errors import UserError

UNCLASSIFIED = "unclassified"
CODE = re.compile(r"[0-9]{2}")
MAX_REPLY = 200  # characters; a longer reply is no code


@dataclass(frozen=True)
class FamilyDomain:
    """The domain is the family: for generated questions."""

    kind: Literal["family"]
    name: str


@dataclass(frozen=True)
class ColumnDomain:
    """The domain is what the pool's own column says (questions.fields.domain)."""

    kind: Literal["column"]
    name: str


@dataclass(frozen=True)
class ClassifiedDomain:
    """The domain is the label that a model behind an OpenAI-compatible chat endpoint chooses."""

    kind: Literal["classify"]
    name: str
    url: str  # up to and with /v1
    model: str | None  # null: the only model that the server offers
    key_env: (
        str | None
    )  # the environment variable that holds its key; the teacher's key is not sent to it
    body: dict  # other fields of the request, sent as they are
    labels: dict  # two digits -> title

    def __post_init__(self):
        wire.origin_of(self.url)
        limits.check_body("domains.body", self.body)
        if len(self.labels) < 2:
            raise UserError(
                f"domains.labels has {len(self.labels)} labels, but a choice needs 2 or more"
            )
        for code, title in self.labels.items():
            if not (
                isinstance(code, str) and CODE.fullmatch(code) and isinstance(title, str) and title
            ):
                raise UserError(
                    f"domains.labels has {code!r}: {title!r}, but must map two quoted digits to a title"
                )


def label(questions, spec, ask=None):
    """Return the questions with their domain, in the same order.

    For a Classify, `ask(questions)` returns the reply to each in their order, None for a call that failed. Raises
    UserError when a Column is asked of a pool that has none.
    """
    if spec.kind == "classify":
        found = [UNCLASSIFIED if reply is None else read(reply, spec) for reply in ask(questions)]
        if questions and set(found) == {UNCLASSIFIED}:
            raise UserError(
                f"domains={spec.name}: none of the {len(questions)} replies of the classifier is one code; give "
                "it room for its reasoning in domains.body.max_tokens, or another domains.model"
            )
    elif spec.kind == "column":
        found = [question.domain or UNCLASSIFIED for question in questions]
        if questions and set(found) == {UNCLASSIFIED}:
            raise UserError(
                "domains=column, but no question of the pool has a domain; name its column in "
                "questions.fields.domain, or set domains=family"
            )
    else:
        found = [question.family for question in questions]
    return [
        dataclasses.replace(question, domain=domain)
        for question, domain in zip(questions, found, strict=True)
    ]


def requests(questions, spec, model):
    """Return one request {"key", "body"} per question for the teachers' client; equal questions have equal keys."""
    bodies = [
        {
            "model": model,
            "messages": [{"role": "user", "content": prompt(question.question, spec)}],
            **spec.body,
        }
        for question in questions
    ]
    return [{"key": limits.key_of("domain", body), "body": body} for body in bodies]


def prompt(question, spec):
    """Return what a classifier is asked: the classes and, after the task, the question."""
    classes = "\n".join(f"{code} {title}" for code, title in sorted(spec.labels.items()))
    return (
        "Choose the class that fits the question at the end best; where none fits, the nearest.\n\n"
        + classes
        + "\n\n"
        "Reply with the two digits of one class and nothing else. Do not answer the question.\n\nQuestion:\n"
        + question
    )


def read(reply, spec):
    """Return the code in a reply, or "unclassified" for anything that is not exactly one code of the labels."""
    code = reply.strip() if len(reply) <= MAX_REPLY else ""
    return code if code in spec.labels else UNCLASSIFIED
