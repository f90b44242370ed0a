"""Put the calls of a released collection back where collect.py looks for calls.

    python -m ponder.collect.restore data/qwen/qwen-traces

A collection that asks the same of the same teacher then makes none of them again: it goes on from a
part that was released, or chooses other rows from all of it, and no model is loaded.
"""

import argparse
import json
from pathlib import Path

from ponder import rows
from ponder.collect import calls
from ponder.errors import RecordError, UserError, user_errors
from ponder.rows import Call


def restore(folder: Path, out: Path) -> tuple[int, Path]:
    """Return how many calls of a collection were put under `out`, and in which file.

    Calls that are there already stay as they are. Raises UserError for a folder without calls, and
    RecordError for one that does not say who answered.
    """
    path = folder / "calls.jsonl.gz"
    if not path.exists():
        raise UserError(
            f"{folder} has no calls.jsonl.gz; name the folder of a collection by a model, such as "
            "data/cpu/cpu-distilled"
        )
    store = calls.store_of(_teacher(folder), out)
    store.parent.mkdir(parents=True, exist_ok=True)
    kept = calls.read_calls(store)
    released = [call for call in rows.read(Call, path) if call.purpose == "trace"]
    new = [call for call in released if call.key not in kept]
    calls.append_calls(store, new)
    return len(new), store


def _teacher(folder: Path) -> str:
    """Return by what the calls of a collection's teacher are stored: its url, or its name."""
    try:
        teacher = json.loads((folder / "teacher.json").read_text(encoding="utf-8"))
        kind, place = teacher["kind"], {"openai": "url", "hf": "name"}
        value = teacher[place[kind]]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise RecordError(
            f"{folder / 'teacher.json'} does not say who answered ({type(error).__name__}); "
            "restore it from git"
        ) from error
    if not isinstance(value, str):
        raise RecordError(f"{folder / 'teacher.json'} names {value!r}; restore it from git")
    return value if kind == "openai" else calls.local_store(value)


@user_errors
def main() -> None:
    """Restore the calls of the folder that the command line names."""
    parser = argparse.ArgumentParser(
        prog="python -m ponder.collect.restore",
        description="Put the calls of a released collection back where collect.py looks for them.",
    )
    parser.add_argument("folder", type=Path, help="such as data/qwen/qwen-traces")
    parser.add_argument("--out", type=Path, default=Path("outputs"), help="as collect.py's out")
    words = parser.parse_args()
    count, store = restore(words.folder, words.out)
    print(f"{count} calls of {words.folder} were put into {store}")


if __name__ == "__main__":
    main()
