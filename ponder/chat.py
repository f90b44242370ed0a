"""The only module that knows how a conversation becomes token ids: roles, delimiters, loss mask.

Delimiters enter as token ids, text never does: whatever a question, a teacher or a model wrote is encoded with special
tokens switched off, so that a "<|im_start|>" inside a text stays text.
"""

from dataclasses import dataclass

from ponder import control
from ponder.errors import UserError


@dataclass(frozen=True)
class Delimiters:
    """Facts of a model (conf/model): how its turns, its thinking and its answer begin and end."""

    turn_start: str  # one special token
    turn_end: str  # one special token
    think: (
        str | None
    )  # the role that opens the thinking, after turn_start; null: the turn itself is the thinking
    answer: (
        str | None
    )  # the role that opens the answer, after turn_start; null: only the prefix below
    final: str  # prefix of the final answer; s1 forces "Final Answer:" (s1, vllm_causallms.py L254)


@dataclass(frozen=True)
class Marks:
    """The token ids that forcing knows, made by Chat.marks from the model's delimiters. A stop is a tuple of ids."""

    ends: tuple  # stops of the thinking: what the answer delimiter begins with, the end of turn
    answer_ends: tuple  # stops of the answer
    turn_end: tuple  # the stop of a row that nothing is forced on
    newline: int  # forced before the answer delimiter when the thinking does not end with it
    nudge: tuple  # ids of the text appended when an end is ignored
    answer: tuple  # the answer delimiter, written when the thinking ends by itself
    forced_answer: (
        tuple  # the answer delimiter and the final-answer prefix, written when the cap bites
    )


class Chat:
    """A tokenizer with a model's delimiters: everything here returns lists of token ids.

    With `counted` a thinking is a row of steps, each opened by a turn that counts down how many are left (s1, appendix E.1).
    """

    def __init__(self, tokenizer, delimiters, counted=False):
        self.tokenizer, self.delimiters = tokenizer, delimiters
        self.turn_start, self.turn_end = (
            self._special(t) for t in (delimiters.turn_start, delimiters.turn_end)
        )
        self.newline = self.encode("\n")[-1]
        self.think_open, self.answer_open = (
            [self.turn_start, *self.encode(role + "\n")] if role else []
            for role in (delimiters.think, delimiters.answer)
        )
        self.final = self.encode(delimiters.final)
        self.counted = counted
        if counted:
            if not (delimiters.think and delimiters.answer):
                raise UserError(
                    "a thinking of counted steps needs its delimiters; take control=none, or set subject.think and "
                    "subject.answer"
                )
            self.think_open = [self.turn_start]  # the count follows, and the model writes it

    def _special(self, text):
        """Return the id of a delimiter; it must be one special token of the vocabulary."""
        token = self.tokenizer.convert_tokens_to_ids(text)
        if (
            token is None
            or token == self.tokenizer.unk_token_id
            or text not in self.tokenizer.all_special_tokens
        ):
            raise UserError(
                f"model.delimiters has {text!r}, which is no special token of this tokenizer; name one that is"
            )
        return token

    def encode(self, text):
        """Return the ids of plain text; special tokens written inside it stay plain text."""
        return self.tokenizer.encode(text, add_special_tokens=False, split_special_tokens=True)

    def decode(self, ids):
        """Return the text of ids, special tokens shown."""
        return self.tokenizer.decode(
            ids, skip_special_tokens=False, clean_up_tokenization_spaces=False
        )

    def prompt(self, question, shots=()):
        """Return the ids up to and with the opening think delimiter.

        `shots` are worked examples (question, think, answer), shown as earlier turns in the form the model is trained on.
        There is no system turn (decision 0003).
        """
        ids = []
        for shot_question, think, answer in shots:
            ids += (
                self._user(shot_question)
                + self.think_open
                + self.reasoning(think, answer)[0]
                + self.encode("\n")
            )
        return ids + self._user(question) + self.think_open

    def _user(self, text):
        return [
            self.turn_start,
            *self.encode("user\n"),
            *self.encode(text),
            self.turn_end,
            *self.encode("\n"),
            self.turn_start,
            *self.encode("assistant\n"),
        ]

    def reasoning(self, think, answer, wrong=()):
        """Return (ids, loss) of what follows the opening think delimiter: trace, answer, end of turn.

        `loss` is 0 on tokens that overlap a character span of `wrong`, the steps a teacher got wrong on purpose
        (decision 0005), and 1 elsewhere. An empty trace leaves the answer alone. Counted steps begin at the bound that the
        question names, control.bound, and carry loss like the rest: the model is to count.
        """
        ids, loss = self._steps(think, wrong) if self.counted else self._trace(think, wrong)
        closing = (self.encode("\n") if think else []) + self.answer_open + self.final
        closing += self.encode(" " + answer) + [self.turn_end]
        return ids + closing, loss + [1] * len(closing)

    def _trace(self, text, wrong):
        tokens = self.tokenizer(
            text, add_special_tokens=False, split_special_tokens=True, return_offsets_mapping=True
        )
        loss = [
            0 if any(start < high and low < end for low, high in wrong) else 1
            for start, end in tokens["offset_mapping"]
        ]
        return list(tokens["input_ids"]), loss

    def _steps(self, think, wrong):
        spans = control.steps(think)
        limit, ids, loss = control.bound(len(spans)), [], []
        for done, (low, high) in enumerate(spans):
            opening = (self.encode("\n") + [self.turn_start] if done else []) + self.encode(
                control.countdown(limit, done)
            )
            step, flags = self._trace(
                think[low:high], [(start - low, end - low) for start, end in wrong]
            )
            ids, loss = ids + opening + step, loss + [1] * len(opening) + flags
        return ids, loss

    def length(self, think, unit):
        """Return how long a trace is, in `tokens` or in `steps`."""
        return len(self.encode(think)) if unit == "tokens" else len(control.steps(think))

    def row(self, question, think, answer, wrong=()):
        """Return (ids, loss) of one training row: no loss on the prompt (s1, train/sft.py L58-66)."""
        prompt = self.prompt(question)
        ids, loss = self.reasoning(think, answer, wrong)
        return prompt + ids, [0] * len(prompt) + loss

    def marks(self, nudge):
        """Return what budget forcing needs to know about this model's delimiters; any turn, or its end, ends a part.

        Of counted steps the answer's turn ends the thinking, and so does the step that would be number 0 (s1, eval/commands.sh:
        until_thinking); the turns of other steps belong to it.
        """
        ends = ((self.turn_start,), (self.turn_end,))
        thinking = (
            (tuple(self.answer_open), (self.turn_start, *self.encode("0")), (self.turn_end,))
            if self.counted
            else ends
        )
        return Marks(
            thinking,
            ends,
            (self.turn_end,),
            self.newline,
            tuple(self.encode(nudge)),
            tuple(self.answer_open),
            tuple(self.answer_open + self.final),
        )

    def split(self, sample):
        """Return (thinking, answer) texts of a Sample, cut where the budget closed the thinking, never by text.

        The final-answer prefix stays in the answer, the end of turn does not.
        """
        cut = sample.closed_at if sample.closed_at is not None else len(sample.ids)
        answer = [
            t
            for t in sample.ids[cut + len(self.answer_open) :]
            if t not in (self.turn_start, self.turn_end)
        ]
        return self.decode(sample.ids[:cut]).removesuffix("\n"), self.decode(answer).strip()
