"""The only module that knows how a conversation becomes token ids: roles, delimiters, loss mask.

Delimiters enter as token ids, text never does: whatever a question, a teacher or a model wrote is
encoded with special tokens switched off, so that a "<|im_start|>" inside a text stays text.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ponder import control
from ponder.errors import UserError

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

    from ponder.decode.budget import Sample

Stop = tuple[int, ...]  # token ids that end a part when they come in this order
Spans = Iterable[Sequence[int]]  # [start, end) in characters


@dataclass(frozen=True)
class Delimiters:
    """Facts of a model (conf/model): how its turns, its thinking and its answer begin and end."""

    turn_start: str  # one special token
    turn_end: str  # one special token
    # The role that opens the thinking, after turn_start; null: the turn itself is the thinking.
    think: str | None
    # The role that opens the answer, after turn_start; null: only the prefix below.
    answer: str | None
    # Prefix of the final answer; s1 forces "Final Answer:" (s1, vllm_causallms.py L254).
    final: str
    bos: str | None = None  # one special token before the first turn; null: none
    user: str = "user"  # the roles, as the model's own template writes them
    assistant: str = "assistant"
    # What the model's own template puts into a system turn before every first turn; null: none.
    system: str | None = None


@dataclass(frozen=True)
class Marks:
    """The token ids that forcing knows, made by Chat.marks from the model's delimiters."""

    ends: tuple[Stop, ...]  # of the thinking: what the answer delimiter begins with, end of turn
    answer_ends: tuple[Stop, ...]
    turn_end: Stop  # of a row that nothing is forced on
    newline: int  # forced before the answer delimiter when the thinking does not end with it
    nudge: tuple[int, ...]  # the text appended when an end is ignored
    answer: tuple[int, ...]  # the answer delimiter, written when the thinking ends by itself
    # The answer delimiter and the final-answer prefix, written when the cap ends the thinking.
    forced_answer: tuple[int, ...]


class Chat:
    """A tokenizer with a model's delimiters: everything here returns lists of token ids.

    With `counted` a thinking is a row of steps, each opened by a turn that counts down how many are
    left (s1, appendix E.1).
    """

    def __init__(
        self,
        tokenizer: "PreTrainedTokenizerBase",
        delimiters: Delimiters,
        counted: bool = False,
    ) -> None:
        self.tokenizer, self.delimiters = tokenizer, delimiters
        self.turn_start = self._special(delimiters.turn_start)
        self.turn_end = self._special(delimiters.turn_end)
        self.beginning = [self._special(delimiters.bos)] if delimiters.bos else []
        if delimiters.system:
            self.beginning += self._turn("system", delimiters.system)
        self.newline = self.encode("\n")[-1]
        self.think_open = self._opening(delimiters.think)
        self.answer_open = self._opening(delimiters.answer)
        self.final = self.encode(delimiters.final)
        self.counted = counted
        if counted:
            if not (delimiters.think and delimiters.answer):
                raise UserError(
                    "a thinking of counted steps needs its delimiters; take control=none, or set "
                    "subject.think and subject.answer"
                )
            self.think_open = [self.turn_start]  # the count follows, and the model writes it

    def _special(self, text: str) -> int:
        """Return the id of a delimiter; it must be one special token of the vocabulary."""
        # A GGUF file's tokenizer lists few of them by a role, such as eos, but marks all.
        added = self.tokenizer.added_tokens_decoder
        token = self.tokenizer.convert_tokens_to_ids(text)
        if token not in added or str(added[token]) != text or not added[token].special:
            raise UserError(
                f"model.delimiters has {text!r}, which is no special token of this tokenizer; name "
                "one that is"
            )
        assert isinstance(token, int)
        return token

    def _opening(self, role: str | None) -> list[int]:
        return [self.turn_start, *self.encode(role + "\n")] if role else []

    def encode(self, text: str) -> list[int]:
        """Return the ids of plain text; special tokens written inside it stay plain text."""
        # Whoever holds their number against a limit says so; the tokenizer need not.
        return self.tokenizer.encode(
            text, add_special_tokens=False, split_special_tokens=True, verbose=False
        )

    def decode(self, ids: Iterable[int]) -> str:
        """Return the text of ids, special tokens shown."""
        text = self.tokenizer.decode(
            list(ids), skip_special_tokens=False, clean_up_tokenization_spaces=False
        )
        assert isinstance(text, str)
        return text

    def prompt(self, question: str, shots: Iterable[tuple[str, str, str]] = ()) -> list[int]:
        """Return the ids up to and with the opening think delimiter.

        `shots` are worked examples (question, think, answer), shown as earlier turns in the form
        that the model is trained on. A system turn comes first where the model's own template has
        one (delimiters.system); no other text is put there (decision 0003).
        """
        ids = list(self.beginning)
        for shot_question, think, answer in shots:
            ids += self._user(shot_question) + self.think_open
            ids += self.reasoning(think, answer)[0] + self.encode("\n")
        return ids + self._user(question) + self.think_open

    def _turn(self, role: str, text: str) -> list[int]:
        return [
            self.turn_start,
            *self.encode(role + "\n"),
            *self.encode(text),
            self.turn_end,
            *self.encode("\n"),
        ]

    def _user(self, text: str) -> list[int]:
        opening = [self.turn_start, *self.encode(self.delimiters.assistant + "\n")]
        return self._turn(self.delimiters.user, text) + opening

    def reasoning(self, think: str, answer: str, wrong: Spans = ()) -> tuple[list[int], list[int]]:
        """Return (ids, loss) of what follows the opening think delimiter, to the end of turn.

        `loss` is 0 on tokens that overlap a character span of `wrong`, the steps a teacher got
        wrong on purpose (decision 0005), and 1 elsewhere. An empty trace leaves the answer alone.
        Counted steps begin at the limit that the question names, control.bound, and carry loss like
        the rest: the model is to count.
        """
        spans = [(start, end) for start, end in wrong]
        ids, loss = self._steps(think, spans) if self.counted else self._trace(think, spans)
        closing = (self.encode("\n") if think else []) + self.answer_open + self.final
        closing += self.encode(" " + answer) + [self.turn_end]
        return ids + closing, loss + [1] * len(closing)

    def _trace(self, text: str, wrong: list[tuple[int, int]]) -> tuple[list[int], list[int]]:
        tokens = self.tokenizer(
            text,
            add_special_tokens=False,
            split_special_tokens=True,
            return_offsets_mapping=True,
            verbose=False,
        )
        loss = []
        for start, end in tokens["offset_mapping"]:
            overlaps = any(start < high and low < end for low, high in wrong)
            loss.append(0 if overlaps else 1)
        return list(tokens["input_ids"]), loss

    def _steps(self, think: str, wrong: list[tuple[int, int]]) -> tuple[list[int], list[int]]:
        steps = control.steps(think)
        limit = control.bound(len(steps))
        ids: list[int] = []
        loss: list[int] = []
        for finished, (low, high) in enumerate(steps):
            opening = self.encode(control.countdown(limit, finished))
            if finished:
                opening = self.encode("\n") + [self.turn_start] + opening
            within = [(start - low, end - low) for start, end in wrong]
            step, flags = self._trace(think[low:high], within)
            ids, loss = ids + opening + step, loss + [1] * len(opening) + flags
        return ids, loss

    def length(self, think: str, unit: str) -> int:
        """Return how long a trace is, in `tokens` or in `steps`."""
        return len(self.encode(think)) if unit == "tokens" else len(control.steps(think))

    def row(
        self, question: str, think: str, answer: str, wrong: Spans = ()
    ) -> tuple[list[int], list[int]]:
        """Return (ids, loss) of a training row: no loss on its prompt (s1, train/sft.py L58-66)."""
        prompt = self.prompt(question)
        ids, loss = self.reasoning(think, answer, wrong)
        return prompt + ids, [0] * len(prompt) + loss

    def marks(self, nudge: str) -> Marks:
        """Return what budget forcing needs to know about this model's delimiters.

        Any turn, or the end of one, ends a part. Of counted steps the answer's turn ends the
        thinking, and so does the step that would be number 0 (s1, eval/commands.sh:
        until_thinking); the turns of other steps belong to it.
        """
        ends: tuple[Stop, ...] = ((self.turn_start,), (self.turn_end,))
        thinking_ends = ends
        if self.counted:
            step_zero = (self.turn_start, *self.encode("0"))
            thinking_ends = (tuple(self.answer_open), step_zero, (self.turn_end,))
        return Marks(
            ends=thinking_ends,
            answer_ends=ends,
            turn_end=(self.turn_end,),
            newline=self.newline,
            nudge=tuple(self.encode(nudge)),
            answer=tuple(self.answer_open),
            forced_answer=tuple(self.answer_open + self.final),
        )

    def split(self, sample: "Sample") -> tuple[str, str]:
        """Return (thinking, answer) texts of a Sample.

        They are cut where the budget closed the thinking, never by text. The final-answer prefix
        stays in the answer, the end of turn does not.
        """
        cut = len(sample.ids) if sample.closed_at is None else sample.closed_at
        turns = (self.turn_start, self.turn_end)
        answer = [t for t in sample.ids[cut + len(self.answer_open) :] if t not in turns]
        return self.decode(sample.ids[:cut]).removesuffix("\n"), self.decode(answer).strip()
