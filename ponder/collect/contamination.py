"""Which questions and traces hold something of a benchmark: shared word n-grams, near-duplicates and canonical keys.

It is asked last and over every row. The paper asked before it added AIME, which let one question of MATH-500 in (s1, issue 26).
"""

import glob
import itertools
import random
from dataclasses import dataclass
from pathlib import Path

from ponder.collect import duplicates
from ponder.config import build
from ponder.errors import UserError
from ponder.questions import tables
from ponder.questions.drawn import question_id

LEAST = 0.5  # Jaccard similarity. Below it nearly all pairs are candidates of MinHash, and the cost is quadratic
PASSAGES = 3  # shared passages of a pair that are shown, the longest ones; a pair itself is always in the report
CONTEXT = 40  # words of a trace that are shown before and after its first shared passage
FILTER = 22  # bits of a hash by which most n-grams are known not to be in a benchmark: 4 MB stay in a cache
FACTOR = random.Random("contamination/n-grams").getrandbits(64) | 1


@dataclass(frozen=True)
class BenchmarkSource:
    """Where the questions of a benchmark stand: a JSONL file or a pattern such as dir/*.jsonl, and its columns."""

    path: str | None
    field: str  # holds the question
    id: str | None  # names it; null: file and line do
    key: (
        str | None
    )  # its canonical key; null: the hash of the question, as for any question that no program wrote


@dataclass(frozen=True)
class Decontamination:
    """What counts as a copy, inside the pool and of a benchmark (conf/decontamination)."""

    name: str
    near: float | None
    prefer: tuple[str, ...]
    ngrams: tuple[int, ...]
    minhash: float | None
    keys: bool
    traces: bool
    benchmarks: dict

    def __post_init__(self):
        for key in ("near", "minhash"):
            value = getattr(self, key)
            if value is not None and not LEAST <= value <= 1:
                raise UserError(
                    f"decontamination.{key}={value} is no similarity that MinHash finds; give {LEAST} to 1, or null"
                )
        for key in ("ngrams", "prefer"):
            if len(set(getattr(self, key))) < len(getattr(self, key)):
                raise UserError(
                    f"decontamination.{key} is {list(getattr(self, key))}, but must name each only once"
                )
        if self.ngrams and min(self.ngrams) < 2:
            raise UserError(
                f"decontamination.ngrams has {min(self.ngrams)}, but a single word is no copy; give 2 or more"
            )
        if self.traces and not self.ngrams:
            raise UserError(
                "decontamination.traces=true looks for n-grams, but decontamination.ngrams is []; give e.g. [8,13]"
            )
        looks = bool(self.ngrams or self.minhash or self.keys)
        if self.benchmarks and not looks:
            raise UserError(
                "decontamination has benchmarks, but neither ngrams, minhash nor keys to look for; set one of them"
            )
        if looks and not self.benchmarks:
            raise UserError(
                "decontamination.benchmarks is {}, but ngrams, minhash and keys need texts to look for; name some"
            )
        for name in self.benchmarks:
            self.source(name)

    def source(self, name):
        """Return the BenchmarkSource of one configured benchmark."""
        return build(BenchmarkSource, self.benchmarks[name], f"decontamination.benchmarks.{name}")


# --- benchmarks ------------------------------------------------------------------------


def files(rule):
    """Return the paths of all benchmark files, sorted; raises UserError for a benchmark that has none."""
    return sorted({path for name in rule.benchmarks for path in _paths(rule, name)})


def compared(rule):
    """Return the names of the benchmarks, each with what was looked for."""
    by = [
        *(f"{n}-grams" for n in rule.ngrams),
        *(["near-duplicates"] if rule.minhash else []),
        *(["equal keys or texts"] if rule.keys else []),
    ]
    return tuple(f"{name} ({', '.join(by)})" for name in sorted(rule.benchmarks))


def read_benchmarks(rule):
    """Return {benchmark: rows {id, question, key}} from the configured files.

    Raises UserError, with path and line, for a file that is missing or empty and for a row without a column that is asked for.
    """
    return {
        name: [row for path in _paths(rule, name) for row in _read(path, rule.source(name))]
        for name in sorted(rule.benchmarks)
    }


def _paths(rule, name):
    path, where = rule.source(name).path, f"decontamination.benchmarks.{name}"
    if path is None:
        raise UserError(
            f"{where}.path is null, but the questions of {name} are needed to look for; give their JSONL, e.g. "
            f"{where}.path=/data/{name}.jsonl, or leave it out with '~{where}'"
        )
    found = [path] if Path(path).is_file() else sorted(glob.glob(path))
    if not found:
        raise UserError(
            f"{where}.path={path} is no file; give the JSONL of {name}, or leave it out with '~{where}'"
        )
    return found


def _read(path, source):
    rows = []
    for number, row in tables.jsonl(path):
        try:
            text = tables.cell(row, source.field)
            if not isinstance(text, str) or not text.strip():
                raise tables.Unfit(f"column {source.field} holds no question")
            text = tables.clean(text, source.field, tables.MAX_TEXT)
            ident = (
                _name(row, source.id, tables.MAX_NAME)
                if source.id
                else f"{Path(path).name}:{number}"
            )
            key = _name(row, source.key, tables.MAX_TEXT) if source.key else question_id(text)
        except tables.Unfit as error:
            raise UserError(
                f"{path}, line {number}: {error}; mend the line, or name the columns with "
                "decontamination.benchmarks.<name>.field, id and key"
            ) from error
        rows.append({"id": ident, "question": text, "key": key})
    if not rows:
        raise UserError(f"{path} holds no question; give the JSONL of a benchmark")
    return rows


def _name(row, column, most):
    name = tables.clean(tables.text(tables.cell(row, column), column), column, most)
    if not name:
        raise tables.Unfit(f"column {column} is empty")
    return name


# --- what is looked for ----------------------------------------------------------------


def hits(questions, traces, benchmarks, rule):
    """Return one row for each pair of texts of which `rule` says that one holds something of the other, sorted.

    A row is {id: of the question, where: question | trace, benchmark, benchmark_id, by: "8-gram" or another n, minhash or key,
    form, share, overlap: the shared text, text, benchmark_text}.

    - n-gram: a shared run of n words, in one of two forms. "words" is s1's: lower case, split at white space, punctuation
      kept (s1, data/decontaminate_util.py). "plain" has the letters and digits alone, without punctuation, signs and
      layout of TeX, since one question is set in TeX in many ways; as it takes a formula apart, only n-grams count of which
      half the words or more have two letters or more. A pair found in both is reported as "words". `share` is the part of
      the benchmark question's n-grams that the text has.
    - minhash: Jaccard similarity (`share`) of shingles, see duplicates.near, of `rule.minhash` or more; questions only.
    - key: equal canonical keys or equal texts; questions only. For templated ones, whose n-grams are all shared.

    `text` is the question, or of a trace the words around the first shared passage. Traces, thinking and answer, are read if
    `rule.traces`. The cost is linear in questions and traces, but for the number of hits.
    """
    items = sorted(
        (
            (name, row["id"], row["question"], row["key"])
            for name, rows in benchmarks.items()
            for row in rows
        )
    )
    pairs = []
    if rule.ngrams:
        look = _look_for_grams(items, rule.ngrams)
        pairs += [(q.id, "question", hit) for q in questions for hit in look(q.question, False)]
        pairs += [
            (t["id"], "trace", hit)
            for t in traces
            if rule.traces
            for hit in look(f"{t['think']}\n{t['answer']}", True)
        ]
    if rule.minhash is not None:
        look = _look_for_similar(items, rule.minhash)
        pairs += [(q.id, "question", hit) for q in questions for hit in look(q.question)]
    if rule.keys:
        look = _look_for_keys(items)
        pairs += [(q.id, "question", hit) for q in questions for hit in look(q)]
    rows = [
        {
            "id": ident,
            "where": where,
            "benchmark": items[item][0],
            "benchmark_id": items[item][1],
            "by": by,
            "form": form,
            "share": round(float(share), 4),
            "overlap": overlap,
            "text": text,
            "benchmark_text": items[item][2],
        }
        for ident, where, (item, by, form, share, overlap, text) in pairs
    ]
    order = ("id", "where", "benchmark", "benchmark_id", "by", "benchmark_text", "text")
    return sorted(rows, key=lambda row: tuple(row[name] for name in order))


def reasons(found):
    """Return {id: "by: benchmark benchmark_id, where"} of hits, the strongest of an id: key, 13-gram, minhash, 8-gram."""

    def strength(row):
        ranks = {
            "key": 10**9,
            "minhash": 9,
        }  # a near-duplicate says more than eight words, a long shared run more than both
        return ranks.get(row["by"]) or int(row["by"].removesuffix("-gram")), row["share"]

    # The last one of an id stays: of equally strong ones the first in the order of `hits`.
    return {
        row["id"]: f"{row['by']}: {row['benchmark']} {row['benchmark_id']}, {row['where']}"
        for row in sorted(reversed(found), key=strength)
    }


def _look_for_keys(items):
    known = {}
    for number, (_, _, text, key) in enumerate(items):
        for name in {key, question_id(text)}:
            known.setdefault(name, []).append(number)

    def look(question):
        found = {
            number: name for name in (question.id, question.key) for number in known.get(name, ())
        }
        return [
            (number, "key", "", 1.0, name, question.question)
            for number, name in sorted(found.items())
        ]

    return look


def _look_for_similar(items, threshold):
    index = duplicates.index(threshold)
    for number, (_, _, text, _) in enumerate(items):
        if members := duplicates.shingles(text):
            index.insert(number, duplicates.sketch(members), check_duplication=False)

    def look(text):
        members = duplicates.shingles(text)
        for number in sorted(index.query(duplicates.sketch(members))) if members else ():
            theirs = duplicates.shingles(items[number][2])
            if (share := duplicates.jaccard(members, theirs)) >= threshold:
                words = duplicates.tokens(text)
                n = min(duplicates.SHINGLE, len(words))
                both = [
                    start
                    for start in range(len(words) - n + 1)
                    if " ".join(words[start : start + n]) in theirs
                ]
                yield number, "minhash", "", share, _shown(words, both, n), text

    return look


# --- n-grams ---------------------------------------------------------------------------


def plain(text):
    """Return the words of a text without punctuation, signs and layout: runs of letters and runs of digits."""
    return [token for token in duplicates.tokens(text) if token.isalnum()]


FORMS = {"words": lambda text: text.lower().split(), "plain": plain}
PROSE = {
    "words": 0.0,
    "plain": 0.5,
}  # the least share of words of two letters or more in an n-gram that counts


def _look_for_grams(items, lengths):
    indexes = {
        form: _index([split(text) for _, _, text, _ in items], lengths, PROSE[form])
        for form, split in FORMS.items()
    }

    def look(text, is_trace):
        found = {}
        for form, split in FORMS.items():
            words = split(text)
            for n, shared in _shared(indexes[form], words):
                for item, starts in shared.items():
                    if (item, n) not in found:
                        share = len(starts) / indexes[form]["sizes"][n][item]
                        found[item, n] = (
                            form,
                            share,
                            _shown(words, starts, n),
                            _around(words, starts[0], n) if is_trace else text,
                        )
        return [(item, f"{n}-gram", *rest) for (item, n), rest in found.items()]

    return look


def _index(texts, lengths, prose):
    """Return where every n-gram of the texts that counts stands, by its hash, and how many different ones each text has."""
    import numpy as np

    known = {
        word: number
        for number, word in enumerate(dict.fromkeys(itertools.chain.from_iterable(texts)), 1)
    }
    # A 0 ends each text and stands for every word that no text has, so that no n-gram reaches over it.
    numbers = np.array(
        [number for words in texts for number in (*(known[word] for word in words), 0)], np.uint64
    )
    owners = np.repeat(np.arange(len(texts)), [len(words) + 1 for words in texts])
    is_prose = np.array([False, *(len(word) > 1 and word.isalpha() for word in known)])
    before = np.concatenate([[0], np.cumsum(is_prose[numbers])])
    grams, sizes = {}, {}
    for n in sorted(lengths):
        starts, hashes = _hashes(numbers, n)
        counts = before[starts + n] - before[starts] >= prose * n
        starts, hashes = starts[counts], hashes[counts]
        order = np.lexsort((hashes, owners[starts]))
        theirs, ordered = owners[starts][order], hashes[order]
        new = np.ones(len(order), bool)
        new[1:] = (np.diff(theirs) != 0) | (np.diff(ordered) != 0)
        sizes[n] = np.bincount(theirs[new], minlength=len(texts))
        order = np.argsort(hashes, kind="stable")
        maybe = np.zeros(1 << FILTER, bool)
        maybe[hashes >> np.uint64(64 - FILTER)] = True
        grams[n] = maybe, hashes[order], starts[order]
    return {"known": known, "numbers": numbers, "owners": owners, "grams": grams, "sizes": sizes}


def _hashes(numbers, n):
    """Return (where they start, hashes) of all n-grams without a 0."""
    import numpy as np

    count = max(0, len(numbers) - n + 1)
    hashes, whole = np.zeros(count, np.uint64), np.ones(count, bool)
    for shift in range(n):
        part = numbers[shift : shift + count]
        hashes = (hashes + part) * np.uint64(FACTOR)
        whole &= part != 0
    starts = np.flatnonzero(whole)
    return starts, hashes[starts]


def _shared(index, words):
    """Yield (n, {text: where the different n-grams that it shares first stand in `words`}), n ascending, while there are any."""
    import numpy as np

    numbers = np.fromiter(
        map(index["known"].get, words, itertools.repeat(0)), np.uint64, len(words)
    )
    for n, (maybe, theirs, places) in index["grams"].items():
        starts, hashes = _hashes(numbers, n)
        hit = np.flatnonzero(maybe[hashes >> np.uint64(64 - FILTER)])
        different, first = np.unique(hashes[hit], return_index=True)
        low, high = np.searchsorted(theirs, different), np.searchsorted(theirs, different, "right")
        count = high - low
        ours = np.repeat(starts[hit[first]], count)
        if not len(ours):
            return
        place = places[np.repeat(low - np.cumsum(count) + count, count) + np.arange(len(ours))]
        span = np.arange(
            n
        )  # the words themselves decide: equal hashes are only likely to be equal n-grams
        same = (index["numbers"][place[:, None] + span] == numbers[ours[:, None] + span]).all(
            axis=1
        )
        shared = {}
        for item, start in zip(
            index["owners"][place[same]].tolist(), ours[same].tolist(), strict=True
        ):
            shared.setdefault(item, set()).add(start)
        yield n, {item: sorted(found) for item, found in sorted(shared.items())}


def _shown(words, starts, n):
    """Return the longest passages of `words` that n-grams at `starts` cover, in their order, and how many more there are."""
    passages = []
    for start in starts:
        if passages and start < passages[-1][1]:
            passages[-1][1] = start + n
        else:
            passages.append([start, start + n])
    longest = sorted(sorted(passages, key=lambda p: (p[0] - p[1], p[0]))[:PASSAGES])
    more = [f"({len(passages) - PASSAGES} more)"] if len(passages) > PASSAGES else []
    return " ... ".join([" ".join(words[first:end]) for first, end in longest] + more)


def _around(words, start, n):
    return " ".join(words[max(0, start - CONTEXT) : start + n + CONTEXT])
