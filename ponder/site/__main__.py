"""Write the released records as pages that a browser opens from the disk.

    python -m ponder.site

They go to outputs/site/; open index.html there. Nothing is loaded from a network.
"""

from ponder.audit import checks, numbers
from ponder.audit.checks import CODE
from ponder.errors import user_errors
from ponder.site.build import build


@user_errors
def main() -> None:
    """Make every number again, write the site with the verdicts, and say where it is."""
    again = checks.verdict_of(
        "numbers",
        numbers.numbers,
        "each number that a document prints follows from the released runs",
        "what the other checks of the audit look at",
    )
    sizes = build(CODE / "outputs" / "site", [again])
    total = sum(sizes.values()) / 1e6
    print(f"wrote outputs/site/index.html and {len(sizes) - 1} files beside it, {total:.1f} MB")
    print(f"check {again.check}: {again.result}, {again.looked_at}")


if __name__ == "__main__":
    main()
