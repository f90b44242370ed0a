"""What ties answers to weights without computing them again: a budget forces exactly these tokens,
and greedy decoding is a function of what was read, so two runs of one subject share tokens for as
long as they read the same.
"""

import itertools
from collections import defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from ponder.audit.checks import Findings, answers_file, completed, read, samples, status
from ponder.audit.prompts import Ids, Template, template
from ponder.rows import ABSENT, SampleRow

# Of runs before it was recorded: no other gives their bits (decision 0027).
EARLY = {"torch_cpu_capability": "AVX512"}
END = -1  # an end of thinking, of samples that do not say which

Budget = dict[str, Any]


# --- what a budget forces --------------------------------------------------------------


def forcing() -> Findings:
    """Whether the forced tokens of each answer are exactly those that its budget's rule forces,
    and its thinking and answer end where that rule lets them.
    """
    problems, count, left_out = [], 0, []
    for folder in completed("evaluate"):
        known, config = template(folder), read(folder / "config.yaml")
        if known is None and config["subject"]["kind"] != "nearest":
            left_out.append(folder.name)
        if known is None:
            continue
        for number, sample in enumerate(samples(folder), 1):
            count += 1
            problems += [
                f"{answers_file(folder)} row {number}: {rule}"
                for rule in rule_problems(sample, config["budget"], known)
            ]
    return Findings(f"{count:,} answers{without(left_out)}", problems)


def without(names: Sequence[str]) -> str:
    """Return words on runs whose tokenizer is not released."""
    return f"; not those of a tokenizer not released: {', '.join(names)}" if names else ""


def rule_problems(sample: SampleRow, budget: Budget, known: Template) -> Iterator[str]:
    """Yield a sentence for each way in which an answer is not what its budget's rule gives."""
    if sample.finish == "rejected":
        if sample.ids or sample.tries != budget["tries"]:
            yield f"rejected after {sample.tries} tries with {len(sample.ids)} tokens"
        return
    if budget.get("tries", 1) > 1 and sample.thrown != (sample.tries - 1) * budget["max_thinking"]:
        yield f"{sample.thrown} tokens thrown away in {sample.tries} tries"
    if budget["force_answer"] == "never":
        closing: Ids = ()
    else:
        yield from thinking_problems(sample, budget, known)
        closing = closing_of(sample, budget, known)
        begins = round_starts(sample, known)
        nudges = [range(start, start + len(known.nudge)) for start in begins]
        places = range(sample.num_thinking, sample.num_thinking + len(closing))
        wanted = [*itertools.chain(*nudges), *places]
        if sample.forced != wanted:
            yield f"forced positions {sample.forced}, its budget forces {wanted}"
        forced = [sample.ids[place] for place in wanted if place < len(sample.ids)]
        if forced != [*known.nudge * len(begins), *closing]:
            yield f"its forced tokens are {forced}, not those of its budget"
    yield from answer_problems(sample, budget, known, len(closing))


def closing_of(sample: SampleRow, budget: Budget, known: Template) -> Ids:
    """Return the tokens that close a thinking: a new line, the answer's opening, and the prefix of
    the final answer where the cap ended it, or the budget or the subject wants it always.
    """
    thinking = sample.ids[: sample.num_thinking]
    newline = () if not thinking or thinking[-1] == known.newline else (known.newline,)
    prefixed = sample.capped or budget["force_answer"] == "always" or not known.answer
    return (*newline, *known.answer, *(known.final if prefixed else ()))


def round_starts(sample: SampleRow, known: Template) -> list[int]:
    """Return where the rounds of a thinking after its first begin.

    Older samples have no rounds: each begins with the nudge, so by its forced tokens.
    """
    if sample.rounds is not ABSENT:
        return [*itertools.accumulate(count for count, _ in sample.rounds)][:-1]
    forced = [place for place in sample.forced if place < sample.num_thinking]
    return forced[:: max(1, len(known.nudge))]


def thinking_problems(sample: SampleRow, budget: Budget, known: Template) -> Iterator[str]:
    """Yield a sentence where a thinking goes over an end, stops without one, or ignores fewer ends
    than its budget lets it.
    """
    starts = [0, *round_starts(sample, known), sample.num_thinking]
    rounds = [tuple(sample.ids[a:b]) for a, b in itertools.pairwise(starts)]
    if any(holds(tokens, end) for tokens in rounds for end in known.thinking_ends):
        yield "an end of thinking stands inside its thinking"
    is_whole = budget.get("scope", "total") == "total"
    room = budget["max_thinking"] - (sample.num_thinking if is_whole else len(rounds[-1]))
    if sample.capped != (room == 0):
        yield f"capped is {sample.capped} with room for {room} more thinking tokens"
    if len(rounds) != sample.num_ignored + 1:
        yield f"{len(rounds)} rounds of thinking, {sample.num_ignored} ends ignored"
    room = room if is_whole else budget["max_thinking"]
    if not sample.capped and sample.num_ignored < budget["num_ignore"] and len(known.nudge) <= room:
        yield f"{sample.num_ignored} ends ignored where its budget ignores {budget['num_ignore']}"
    for number, (_, stop) in enumerate(sample.rounds or (), 1):
        is_last_capped = sample.capped and number == len(rounds)
        if (tuple(stop) not in known.thinking_ends) != is_last_capped:
            yield f"round {number} ends with {stop}"


def holds(tokens: Ids, part: Ids) -> bool:
    """Whether some tokens stand in others, side by side."""
    if not part or part[0] not in tokens:
        return False
    places = range(len(tokens) - len(part) + 1)
    return any(tokens[place : place + len(part)] == part for place in places)


def answer_problems(sample: SampleRow, budget: Budget, known: Template, skip: int) -> Iterator[str]:
    """Yield a sentence where an answer, after `skip` forced tokens, does not end as it says."""
    ids, limit = sample.ids[sample.num_thinking + skip :], budget["max_answer"]
    ends = {known.start, known.end}
    if budget["force_answer"] == "never":
        ids, limit, ends = unforced_part(sample, budget, known)
    found = next((number for number, token in enumerate(ids) if token in ends), None)
    stopped = found is not None and found == len(ids) - 1
    if sample.finish == "stop" and not stopped:
        yield f"finish is stop, but its answer ends with {ids[-1:]}"
    if sample.finish == "length" and (found is not None or len(ids) != limit):
        yield f"finish is length with {len(ids)} of {limit} tokens"


def unforced_part(
    sample: SampleRow, budget: Budget, known: Template
) -> tuple[list[int], int, set[int]]:
    """Return (tokens, their limit, the tokens that end them) of what an unforced answer ends with:
    of its answer where it opened one, else of its thinking, or of all where nothing parts the two.
    """
    after = sample.ids[sample.num_thinking :]
    if not known.answer:
        return sample.ids, budget["max_thinking"] + budget["max_answer"], {known.end}
    if tuple(after[: len(known.answer)]) == known.answer:
        return after[len(known.answer) :], budget["max_answer"], {known.end}
    return sample.ids, budget["max_thinking"], {known.end}


# --- what greedy decoding shares -------------------------------------------------------


def greedy() -> Findings:
    """Whether greedy answers of one subject to one prompt choose the same token wherever they read
    the same tokens, whatever their budgets force elsewhere.

    It looks at runs of the same weights on the same kind of machine alone: bits are promised there.
    """
    problems, pairs, tied, alone = [], 0, 0, []
    groups = list(grouped().values())
    for folders in groups:
        if len(folders) == 1:
            alone += [folder.name for folder in folders]
            continue
        tied += len(folders)
        for one, other in itertools.combinations(folders, 2):
            count, broken = compared(one, other)
            pairs += count
            problems += broken
    words = f"{pairs:,} pairs of answers in {tied} runs"
    if alone:
        words += f"; with no other run of the same weights and machine: {', '.join(alone)}"
    return Findings(words, problems)


def grouped() -> dict[tuple[Any, ...], list[Path]]:
    """Return the greedy evaluations that share weights, form of the prompt and kind of machine."""
    groups = defaultdict(list)
    for folder in completed("evaluate"):
        config = read(folder / "config.yaml")
        is_greedy = not config.get("decoding", {}).get("temperature")
        is_ours = config.get("engine", {}).get("kind", "hf") == "hf"
        if is_greedy and is_ours and config["subject"]["kind"] != "nearest":
            groups[subject_of(folder, config), machine_of(folder, config)].append(folder)
    return groups


def subject_of(folder: Path, config: dict[str, Any]) -> tuple[Any, ...]:
    """Return what of a run names its weights, and what else decides the next token."""
    weights = {digest for name, digest in status(folder)["inputs"].items() if "safetensors" in name}
    model, scope = config["model"], config["budget"].get("scope", "total")
    return frozenset(weights), model["name"], model.get("revision"), str(model.get("wheel")), scope


def machine_of(folder: Path, config: dict[str, Any]) -> tuple[Any, ...]:
    """Return what of a run's machine its bits depend on.

    On another device than a CPU, or in fewer bits than float32, they depend on what is decoded
    together too: only runs of one sweep share that, and the seconds of its blocks.
    """
    machine = EARLY | read(folder / "environment.json")
    names = ("system", "machine", "cpu", "torch_cpu_capability")
    packages = machine["packages"]
    hardware = config.get("hardware", {})
    device, kind = hardware.get("device", "cpu"), hardware.get("decode_compute", "float32")
    sweep: tuple[Any, ...] = ()
    if (device, kind) != ("cpu", "float32"):  # what ends by itself alone is decoded by itself
        sweep = (*blocks(folder), config["budget"].get("force_answer") == "never")
    return (
        *(machine.get(name) for name in names),
        packages.get("torch"),
        packages.get("transformers"),
        device,
        kind,
        sweep,
    )


def blocks(folder: Path) -> tuple[Any, ...]:
    """Return the seconds of the blocks of an evaluation, by which runs of one sweep know each
    other.
    """
    return tuple(row["seconds"] for row in read(folder / "timing.jsonl") if "budgets" in row)


def compared(one: Path, other: Path) -> tuple[int, list[str]]:
    """Return (how many prompts two runs share, a sentence for each where they chose otherwise)."""
    by_prompt = {sample.prompt_sha256: sample for sample in samples(one)}
    count, problems = 0, []
    for number, sample in enumerate(samples(other), 1):
        counterpart = by_prompt.get(sample.prompt_sha256)
        if counterpart is None:
            continue
        count += 1
        place = parting(counterpart, sample)
        if place is not None:
            problems.append(
                f"{answers_file(other)} row {number}: after the same {place} tokens it goes "
                f"on otherwise than {one.name}"
            )
    return count, problems


def parting(one: SampleRow, other: SampleRow) -> int | None:
    """Return how many tokens two answers share before they choose otherwise, None where a budget
    parts them, or nothing.
    """
    pairs = zip(chosen(one), chosen(other), one.ids, other.ids, strict=False)
    for place, (choice, counterpart, token, other_token) in enumerate(pairs):
        if choice and counterpart and not same(choice, counterpart):
            return place
        if token != other_token:
            return None
    return None


def same(choice: tuple[int, bool], other: tuple[int, bool]) -> bool:
    """Whether two choices are the same token, or ends of thinking of which one is not known."""
    return choice[0] == other[0] or (END in (choice[0], other[0]) and choice[1] == other[1])


def chosen(sample: SampleRow) -> list[tuple[int, bool] | None]:
    """Return the token that the model chose at each place of an answer and whether it ends the
    thinking; None where it chose none, since the budget forced one.
    """
    stops, forced = stops_of(sample), {*sample.forced}
    choices: list[tuple[int, bool] | None] = []
    for place, token in enumerate(sample.ids):
        if place in stops:
            choices.append((stops[place], True))
        else:
            choices.append(None if place in forced else (token, False))
    return choices


def stops_of(sample: SampleRow) -> dict[int, int]:
    """Return {place: the first token of the end of thinking that the model chose there}."""
    if sample.rounds is not ABSENT:
        places = itertools.accumulate(count for count, _ in sample.rounds)
        rounds = zip(places, sample.rounds, strict=True)
        return {place: stop[0] for place, (_, stop) in rounds if stop}
    forced = {*sample.forced}
    first = [place for place in forced if place - 1 not in forced or place == sample.num_thinking]
    return {place: END for place in first if not (sample.capped and place == sample.num_thinking)}
