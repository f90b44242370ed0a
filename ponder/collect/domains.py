"""The domain of each question, which diversity draws by.

It is the question's family, a column of its file, or a classifier's label. Pure functions: what
asks a server is passed in. s1 let a closed model choose one of 61 classes (section 2.2); here any
model behind the teachers' client does, and a reply that is not exactly one code is "unclassified",
never guessed at.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from ponder.api import limits, wire
from ponder.api.limits import Request
from ponder.config import Name
from ponder.errors import ServerError, UserError

if TYPE_CHECKING:
    from ponder.questions.drawn import Question

UNCLASSIFIED = "unclassified"
CODE = re.compile(r"[0-9]{2}")
# Characters; a longer reply is no code.
MAX_REPLY = 200


@dataclass(frozen=True)
class FamilyDomain:
    """The domain is the family: for generated questions."""

    kind: Literal["family"]
    name: Name


@dataclass(frozen=True)
class ColumnDomain:
    """The domain is what the pool's own column says (questions.fields.domain)."""

    kind: Literal["column"]
    name: Name


@dataclass(frozen=True)
class ClassifiedDomain:
    """The domain is the label that a model behind an OpenAI-compatible chat endpoint chooses."""

    kind: Literal["classify"]
    name: Name
    url: str  # up to and with /v1
    model: str | None  # null: the only model that the server offers
    # The environment variable that holds its key; the teacher's key is not sent to it.
    key_env: str | None
    body: dict[str, Any]  # other fields of the request, sent as they are
    labels: dict[str, str]  # two digits -> title

    def __post_init__(self) -> None:
        wire.origin_of(self.url)
        limits.check_body("domains.body", self.body)
        if len(self.labels) < 2:
            raise UserError(
                f"domains.labels has {len(self.labels)} labels, but a choice needs 2 or more"
            )
        for code, title in self.labels.items():
            is_code = isinstance(code, str) and CODE.fullmatch(code)
            if not (is_code and isinstance(title, str) and title):
                raise UserError(
                    f"domains.labels has {code!r}: {title!r}, but must map two quoted digits to a "
                    "title"
                )


def label(
    questions: Sequence[Question],
    spec: FamilyDomain | ColumnDomain | ClassifiedDomain,
    ask: Callable[[Sequence[Question]], Sequence[str | None]] | None = None,
) -> list[Question]:
    """Return the questions with their domain, in the same order.

    For a ClassifiedDomain, `ask(questions)` returns the reply to each in their order, None for a
    call that failed. Raises ServerError when no reply is a code, UserError when a ColumnDomain is
    asked of a pool that has none.
    """
    if spec.kind == "classify":
        assert ask is not None, "a classifier has to be asked"
        labels = [UNCLASSIFIED if reply is None else read(reply, spec) for reply in ask(questions)]
        if questions and set(labels) == {UNCLASSIFIED}:
            raise ServerError(
                f"domains={spec.name}: none of the {len(questions)} replies of the classifier is "
                "one code; give it room for its reasoning in domains.body.max_tokens, or another "
                "domains.model"
            )
    elif spec.kind == "column":
        labels = [question.domain or UNCLASSIFIED for question in questions]
        if questions and set(labels) == {UNCLASSIFIED}:
            raise UserError(
                "domains=column, but no question of the pool has a domain; name its column in "
                "questions.fields.domain, or set domains=family"
            )
    else:
        labels = [question.family for question in questions]
    return [
        dataclasses.replace(question, domain=domain)
        for question, domain in zip(questions, labels, strict=True)
    ]


def requests(questions: Sequence[Question], spec: ClassifiedDomain, model: str) -> list[Request]:
    """Return one request per question for the teachers' client; equal questions, equal keys."""

    def request(question: Question) -> Request:
        message = {"role": "user", "content": prompt(question.question, spec)}
        body = {"model": model, "messages": [message], **spec.body}
        return {"key": limits.key_of("domain", body), "body": body}

    return [request(question) for question in questions]


def prompt(question: str, spec: ClassifiedDomain) -> str:
    """Return what a classifier is asked: the classes and, after the task, the question."""
    classes = "\n".join(f"{code} {title}" for code, title in sorted(spec.labels.items()))
    return (
        "Choose the class that fits the question at the end best; where none fits, the nearest.\n\n"
        f"{classes}\n\n"
        "Reply with the two digits of one class and nothing else. Do not answer the question.\n\n"
        f"Question:\n{question}"
    )


def read(reply: str, spec: ClassifiedDomain) -> str:
    """Return the code in a reply; "unclassified" for all that is not exactly one of the codes."""
    code = reply.strip() if len(reply) <= MAX_REPLY else ""
    return code if code in spec.labels else UNCLASSIFIED
