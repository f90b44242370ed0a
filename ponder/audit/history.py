"""What git saw of the released files: none changed or went, lists only grow, and what people wrote
down stands from the day after it was written.

Who rewrites git's history too is told by an anchor alone: a commit that somebody outside knows.
"""

import re
from collections import defaultdict
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from ponder.audit.checks import ROOT, STAGES, Findings, Unsupported, digests, read
from ponder.audit.git import commit_times, git_text, need_history
from ponder.config import yaml_value
from ponder.report.released import superseded

FOREVER = (*(f"logs/{stage}/" for stage in STAGES), "data/", "logs/preregistrations/")
GROWING = ("logs/test-readings.jsonl", "logs/corrections.jsonl", "logs/releases.jsonl")
PLANS = "logs/preregistrations/"  # they may gain dated remarks before their runs start
# Entries are added, and stay as they were.
LISTS = ("paper/rows.yaml", "paper/methods.yaml", "paper/published.yaml")
SORTED = "logs/disagreements.jsonl"  # the same, and a new one may stand between others
DOCUMENTS = re.compile(r"data/(README\.md|mof\.yml|licenses/README\.md)$")
MANIFEST = re.compile(r"data/[^/]+/[^/]+/manifest\.json$")
DECISION = re.compile(r"logs/decisions/(\d{4})-[^/]+\.md$")
# Of these the rows stand, or their keys with a later day in the row, since this decision was made.
GLOSSARY, MODEL, SINCE = "logs/README.md", "data/mof.yml", "logs/decisions/0041-"
ROW = re.compile(r"\| (`[^|]+?) \|.*\|$")
DAY = re.compile(r"\b20\d\d-\d\d-\d\d\b")
SETTLED = 24 * 3600  # seconds after which a record stands
GONE = "0" * 40  # what git says for the content of a file that is not there

Version = tuple[str, str]  # the commit, and the blob that the file was in it


def history(anchors: Sequence[str] = ()) -> Findings:
    """Whether git ever saw a released file change or go, apart from what logs/corrections.jsonl
    says; the work tree counts too.

    A decision record may gain a line, such as what answered it; it may not go, and a day after it
    was written its lines stand. `anchors` are commits that the auditor knows from elsewhere, or
    files of them; raises Unsupported without any, where nothing else is wrong.
    """
    need_history()
    versions, commits = versions_of(*FOREVER, *GROWING, *LISTS, SORTED, GLOSSARY, "logs/decisions/")
    times = commit_times()
    problems = [problem for commit in known(anchors) for problem in anchor_problems(commit, times)]
    for path, seen in versions.items():
        file = ROOT / path
        seen.append(("the work tree", digests(file).blob if file.is_file() else GONE))
        problems += path_problems(path, seen, times)
    corrections = "; ".join(f"{what}: {entry['why']}" for what, entry in superseded().items())
    fresh = git_text("ls-files", "--others", "--exclude-standard", "--", *FOREVER).splitlines()
    looked_at = (
        f"{len(versions):,} files in {commits} commits, {len(fresh)} not committed yet; "
        f"corrections: {corrections or 'none'}"
    )
    if not anchors and not problems:
        raise Unsupported(
            f"no anchor given for rewriting: nothing changed in this history ({looked_at}), but it "
            "could have been written anew; give --anchor COMMIT, one that you know from elsewhere"
        )
    return Findings(f"{looked_at}; {told(known(anchors), times)}", problems)


def path_problems(path: str, seen: list[Version], times: dict[str, int]) -> Iterator[str]:
    """Yield a sentence for each thing that the versions of a file may not have done."""
    file = ROOT / path
    lost = f"{path} lost or changed an entry; entries are only added"
    if path in GROWING and not only_longer(seen, file):
        yield lost
    elif path in LISTS and not only_more(seen, file):
        yield lost
    elif path == SORTED and not all(keeps(file, lines_of(old)) for _, old in seen[:-1]):
        yield lost
    elif path == GLOSSARY:
        yield from glossary_problems(seen, file, times)
    elif decision := DECISION.match(path):
        if not any(file.parent.glob(f"{decision[1]}-*")):  # one was renamed
            yield f"{path} went; a decision is superseded by another one"
        yield from reworded(path, seen, times)
    elif path == MODEL and not only_more(since_rule(seen, times), file):
        yield lost
    elif path.startswith(PLANS):
        yield from plan_problems(path, seen)
    elif path.startswith((*FOREVER,)) and not may_change(path, seen):
        yield from changes(path, seen)


# --- anchors ---------------------------------------------------------------------------


def known(anchors: Sequence[str]) -> list[str]:
    """Return the commits that anchors name: themselves, or the first word of each line of a file
    of them.
    """
    commits: list[str] = []
    for anchor in anchors:
        if Path(anchor).is_file():
            lines = Path(anchor).read_text().splitlines()
            commits += [line.split()[0] for line in lines if line.strip() and line[0] != "#"]
        else:
            commits.append(anchor)
    return commits


def anchor_problems(commit: str, times: dict[str, int]) -> Iterator[str]:
    """Yield a sentence where a commit that the auditor knows is not in this history."""
    if not re.fullmatch("[0-9a-f]{7,40}", commit):
        yield f"the anchor {commit[:60]!r} is no commit; give 7 to 40 hex digits, or a file of them"
    elif not any(name.startswith(commit) for name in times):
        yield (
            f"the anchor {commit} is not in this history: it was written anew since, or the anchor "
            "is of another repository"
        )


def told(anchors: list[str], times: dict[str, int]) -> str:
    """Return words on what anchors say: until when this history is the one that they were in."""
    days = [when for name, when in times.items() for each in anchors if name.startswith(each)]
    if not days:
        return "no anchor is in it" if anchors else "no anchor given"
    latest = datetime.fromtimestamp(max(days), UTC).isoformat(timespec="seconds")
    return f"as it was known until {latest}; what came later is not anchored"


# --- what people wrote -----------------------------------------------------------------


def lines_of(version: str) -> list[str]:
    """Return the lines of a version of a file; none where it was gone."""
    return [] if version == GONE else git_text("cat-file", "blob", version).splitlines()


def keeps(file: Path, lines: Sequence[str]) -> bool:
    """Whether a file still has some lines, in their order; others may stand between them."""
    left = iter(file.read_text().splitlines() if file.is_file() else [])
    return all(line in left for line in lines)


def reworded(path: str, seen: list[Version], times: dict[str, int]) -> Iterator[str]:
    """Yield a sentence where a decision record lost or changed a line a day after it was first
    committed; its status may become superseded.
    """
    settled = settled_versions(seen, times)
    for (_, before), (commit, now) in zip(settled, settled[1:], strict=False):
        if GONE in (before, now) or before == now:
            continue
        old, new = lines_of(before), iter(lines_of(now) if commit in times else here(path))
        kept = [line for number, line in enumerate(old) if number != 2 or "superseded" in line]
        if not all(line in new for line in kept):
            yield (
                f"{path} was reworded in {commit[:13]}, more than a day after it was written; a "
                "decision gains a dated line, or another record supersedes it"
            )


def plan_problems(path: str, seen: list[Version]) -> Iterator[str]:
    """Yield a sentence for each change of a pre-registration that is more than dated remarks."""
    for (commit, now), (_, before) in zip(seen[1:], seen, strict=False):
        if now == before:
            continue
        lines = here(path) if commit == "the work tree" else lines_of(now)
        if not only_remarks(lines_of(before), lines):
            yield f"{path} changed in {commit[:13]} by more than dated remarks at its end"


def only_remarks(old: Sequence[str], new: Sequence[str]) -> bool:
    """Whether lines are the old ones and, at their end, comments of which the first has a day."""
    more = new[len(old) :]
    is_same = list(new[: len(old)]) == list(old)
    return (
        is_same
        and bool(more)
        and all(line.startswith("# ") for line in more)
        and bool(DAY.search(more[0]))
    )


def here(path: str) -> list[str]:
    """Return the lines of a file in the work tree."""
    return (ROOT / path).read_text().splitlines() if (ROOT / path).is_file() else []


def settled_versions(seen: list[Version], times: dict[str, int]) -> list[Version]:
    """Return the last version of a file's first day, and all later ones."""
    first = times.get(seen[0][0], 0)
    age = [times.get(commit, int(datetime.now(UTC).timestamp())) - first for commit, _ in seen]
    young = sum(1 for seconds in age if seconds < SETTLED)
    return seen[max(0, young - 1) :]


def since_rule(seen: list[Version], times: dict[str, int]) -> list[Version]:
    """Return the versions of a file since its entries stand: the one that was there then, and all
    later ones; the last alone while the rule has no commit.
    """
    log = git_text("log", "--diff-filter=A", "--format=%ct", "--", f"{SINCE}*").split()
    if not log:
        return seen[-1:]
    earlier = sum(1 for commit, _ in seen if times.get(commit, 2**62) <= int(log[-1]))
    return seen[max(0, earlier - 1) :]


def glossary_problems(seen: list[Version], file: Path, times: dict[str, int]) -> Iterator[str]:
    """Yield a sentence for each row of the glossary that went, or that was reworded without a day
    in its new wording.
    """
    now = here(GLOSSARY)
    dated = {match[1] for line in now if (match := ROW.match(line)) and DAY.search(line)}
    for _, version in since_rule(seen, times)[:-1]:
        for line in lines_of(version):
            match = ROW.match(line)
            if match and line not in now and match[1] not in dated and "](" not in line:
                yield (
                    f"{GLOSSARY} lost or reworded the row of {match[1]}; a row stands, or says the "
                    "day since when it means another thing"
                )
                return


# --- versions --------------------------------------------------------------------------


def versions_of(*paths: str) -> tuple[dict[str, list[Version]], int]:
    """Return ({path: its versions in git, oldest first}, number of commits that changed one)."""
    versions: dict[str, list[Version]] = defaultdict(list)
    commits: list[str] = []
    form = ("--format=%H", "--raw", "--no-abbrev", "--no-renames", "-m")
    log = git_text("log", "--reverse", "--full-history", *form, "--", *paths)
    for line in log.splitlines():
        if line.startswith(":"):
            meta, path = line.split("\t", 1)
            versions[path].append((commits[-1], meta.split()[3]))
        elif line:
            commits.append(line)
    return versions, len(commits)


def may_change(path: str, seen: list[Version]) -> bool:
    """Whether a file in a folder of released files is a document, or a manifest that only grew."""
    if DOCUMENTS.match(path):
        return True
    return bool(MANIFEST.match(path)) and only_more(seen, ROOT / path)


def changes(path: str, seen: list[Version]) -> Iterator[str]:
    """Yield a sentence for each change of a released file that no correction excuses."""
    for (commit, now), (_, before) in zip(seen[1:], seen, strict=False):
        if now != before and not is_excused(path, commit):
            verb = "went" if now == GONE else "changed"
            yield f"{path} {verb} in {commit[:13]} after it was released"


def is_excused(path: str, commit: str) -> bool:
    """Whether logs/corrections.jsonl says that this commit replaced a file; of data alone."""
    return any(
        entry.get("commit") == commit
        and re.fullmatch("data/[^/]+/.+", what)
        and f"{path}/".startswith(f"{what}/")
        for what, entry in superseded().items()
    )


def only_longer(seen: list[Version], file: Path) -> bool:
    """Whether a file still begins with each of its earlier versions."""
    if not file.is_file() or any(version == GONE for _, version in seen[:-1]):
        return False
    text = file.read_text()
    return all(text.startswith(git_text("cat-file", "blob", version)) for _, version in seen[:-1])


def only_more(seen: list[Version], file: Path) -> bool:
    """Whether a YAML or JSON file still says all that its earlier versions said.

    So a data set gets its weights after its rows.
    """
    if not file.is_file() or any(version == GONE for _, version in seen[:-1]):
        return False
    earlier = (yaml_value(git_text("cat-file", "blob", version)) for _, version in seen[:-1])
    return all(holds_all(read(file), older) for older in earlier)


def holds_all(new: Any, old: Any) -> bool:
    """Whether a value still holds all that an older one held: keys and items may be added, none
    changed or lost.
    """
    if isinstance(old, dict) and isinstance(new, dict):
        return all(key in new and holds_all(new[key], value) for key, value in old.items())
    if isinstance(old, list) and isinstance(new, list):
        return all(any(holds_all(other, item) for other in new) for item in old)
    return old == new
