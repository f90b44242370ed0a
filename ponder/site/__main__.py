"""Write the released records as pages that a browser opens from the disk.

    python -m ponder.site

They go to outputs/site/; open index.html there. Nothing is loaded from a network.
"""

from ponder.audit.checks import CODE
from ponder.errors import user_errors
from ponder.site.build import build


@user_errors
def main() -> None:
    """Write the site and say where it is."""
    sizes = build(CODE / "outputs" / "site")
    total = sum(sizes.values()) / 1e6
    print(f"wrote outputs/site/index.html and {len(sizes) - 1} files beside it, {total:.1f} MB")


if __name__ == "__main__":
    main()
