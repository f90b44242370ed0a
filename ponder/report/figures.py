"""All figures of the documents, drawn from results.json, for a light and for a dark page."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ponder.report import arms, asked, curves, dots, parallel
from ponder.report.canvas import THEMES
from ponder.report.comparisons import PLAIN
from ponder.report.numbers import GROUPS
from ponder.report.sources import published

NAMES = ("qwen", "scaling", "models", "families", "methods", "parallel")


def draw(results: Mapping[str, Any], folder: Path) -> list[Path]:
    """Write the figures into a folder and return their paths, in order."""
    cited = published()
    paths: list[Path] = []
    for theme in THEMES:
        path = {name: folder / f"{name}{theme.suffix}.svg" for name in NAMES}
        arms.draw(path["qwen"], results["public"][0], theme)
        curves.draw_groups(path["scaling"], results, GROUPS, theme)
        dots.draw(path["models"], results, GROUPS, theme)
        curves.draw_families(
            path["families"], by_family(results), seeds_by_family(results), cited, theme
        )
        asked.draw(path["methods"], results, theme)
        parallel.draw(path["parallel"], results, theme)
        paths += path.values()
    return paths


def by_family(results: Mapping[str, Any]) -> dict[str, dict[str, list[dict]]]:
    """Return {family: {curve: rows}}: budget forcing with and without fine-tuning."""
    trained = curves.trained(results["rows"], curves.MAIN)
    plain = next(row for row in results["methods"]["table"] if row["name"] == PLAIN)["points"]
    return {
        family: {
            name: [{"budget": row["budget"], **row["families"][family]} for row in rows]
            for name, rows in (("after SFT", trained), ("without SFT", plain))
        }
        for family in results["families"]
    }


def seeds_by_family(results: Mapping[str, Any]) -> dict[str, list[Any]]:
    """Return {family: the points of other seeds of the main arm}, for the curve after SFT."""
    rows = curves.trained(results["rows"], curves.MAIN)
    return {
        family: curves.of_curve(curves.other_seeds(results["contrasts"], family), curves.MAIN, rows)
        for family in results["families"]
    }
