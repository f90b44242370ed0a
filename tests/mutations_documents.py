"""Falsifications of what a reader sees of the Markdown documents: numbers that the rendered text
alone shows, true numbers at another place, and what no check reads.
"""

from falsify import replaced

SEEN = {  # what is put under a heading of the README
    "a number by decimal entities": "The student gets &#54;&#52;&#46;&#50;&#37;.",
    "a number by hexadecimal entities": "The student gets &#x36;&#x34; of a hundred.",
    "a fraction by its name": "It gets &frac34; of them.",
    "a number in a block of code": "```\naccuracy 61.2\n```",
    "a number in indented code": "    accuracy: 61.2%",
    "a number in a line of code": "It has `accuracy=61.2%` there.",
    "a number whose digits are set apart by emphasis": "It gets 6**1**.*2*%.",
    "a number struck out": "It gets ~~61.2%~~.",
    "a number with a sign of no width inside": "It gets 6&#8203;1 of them.",
    "a number in the title of a link": '[here](paper/results.md "&#54;1.2% of all")',
    "a number in the title of a link by reference": '[here][a]\n\n[a]: paper/results.md "61.2%"',
    "a number in the text of an image": "![gets &#54;1%](paper/generated/scaling.svg)",
    "a number in the title of an image": '![gets](paper/generated/scaling.svg "&#54;1%")',
    "an image of another place": "![best](paper/best.svg)",
    "an image of another place by reference": "![best][a]\n\n[a]: paper/best.png",
    "an image of another host": "![](https://example.com/paper/generated/scaling.svg)",
    "an image beside the figures": "![](paper/generated/../best.svg)",
    "an image that is its own bytes": "![](data:image/svg+xml;base64,PHN2Zy8+)",
    "hidden text": "<b hidden>all of them</b>",
    "bold as a tag": "It gets <b>6</b><b>1</b> of them.",
    "a text that unfolds": "<details><summary>more</summary>sixty</details>",
    "a number in the text of an image as a tag": (
        '<img src="paper/generated/scaling.svg" alt="gets &#54;1%">'
    ),
    "an image as a tag with a title": '<img src="paper/generated/scaling.svg" title="sixty">',
    "an image of another place for dark screens": (
        '<picture><source media="(a)" srcset="best.svg"></picture>'
    ),
    "a number between tags that may stand": "<picture>\n&#54;1%\n</picture>",
    "a comment that ends at once": "<!--> sixty percent -->",
    "a comment that ends early": "<!-- a --!> sixty percent -->",
    "a list that counts from there": "61. of them, and",
    "a list that counts from one digit": "7. of them, and",
    "a footnote of one word": "It is better[^a].\n\n[^a]: 64%",
    "digits as signs": "It gets :six::four: of a hundred.",
}
POOL = r"5,160<!--/--> candidates"
SHOTS, TRANSFER = r"\+40\.8 \[\+34\.7, \+46\.7\]", r"-27\.5 \[-35\.8, -20\.0\]"


BESIDE = {  # what is put before a claim, and behind it
    "a dash": ("&ndash;", ""),
    "a hyphen that does not break": ("&#8209;", ""),
    "a minus of full width": ("&#xFF0D;", ""),
    "a minus apart by a space of no width": ("-&#8203;", ""),
    "a minus apart by a soft hyphen": ("-&shy;", ""),
    "a percent sign apart by what joins nothing": ("", "&zwnj;%"),
    "a sign for thousandths": ("", "&permil;"),
    "a root": ("&radic;", ""),
    "a sign for less": ("&lt;", ""),
    "what turns the direction of a text": ("&#x202E;", ""),
    "what strikes out the last digit": ("", "&#x336;"),
}


def exchanged(path, one, other):
    """Exchange the first text in a document that has the form of `one` with that of `other`."""

    def edit(tree):
        return replaced(path, f"({one})([\\s\\S]*?)({other})", r"\3\2\1")(tree)

    return edit


CASES = {
    **{
        name: (replaced("README.md", "^## What was found$", f"## Found\n\n{text}"), "seen", None)
        for name, text in SEEN.items()
    },
    "two claims exchanged between two rows of the README's table": (
        exchanged("README.md", SHOTS, TRANSFER),
        "seen",
        None,
    ),
    "the same, for the numbers that the runs give": (
        exchanged("README.md", SHOTS, TRANSFER),
        "numbers",
        None,
    ),
    "two claims exchanged between two columns": (
        exchanged("README.md", r"24\.5% \[20\.5, 28\.9\]", r"30\.5% \[26\.2, 35\.2\]"),
        "seen",
        None,
    ),
    "two verdicts exchanged": (
        exchanged("README.md", r"\| same direction \|", r"\| opposite direction \|"),
        "seen",
        None,
    ),
    "two rows of the results exchanged but for their names": (
        exchanged("paper/results.md", r"49\.6% \[45\.1, 54\.0\] \| 25\.6", r"22\.3% [^|]*\| 35\.3"),
        "seen",
        None,
    ),
    "the figure of another table": (
        replaced("README.md", 'src="paper/generated/qwen.svg"', 'src="paper/generated/models.svg"'),
        "seen",
        None,
    ),
    "a claim with another sign": (
        replaced("data/README.md", "<!--=counts/all/pool-->", "-<!--=counts/all/pool-->"),
        "seen",
        None,
    ),
    "a claim with one digit more": (
        replaced("data/README.md", POOL, "5,160<!--/-->&#48; candidates"),
        "seen",
        None,
    ),
    "a claim with a percent sign": (
        replaced("data/README.md", POOL, "5,160<!--/-->&percnt; candidates"),
        "seen",
        None,
    ),
    **{
        f"a claim with {name} beside it": (
            replaced(
                "data/README.md",
                "<!--=counts/all/pool-->5,160<!--/-->",
                f"{before}<!--=counts/all/pool-->5,160<!--/-->{behind}",
            ),
            "seen",
            None,
        )
        for name, (before, behind) in BESIDE.items()
    },
    "a claim made thousands": (
        replaced("data/README.md", POOL, "5,160<!--/-->k candidates"),
        "seen",
        None,
    ),
    "a number in a guide without claims": (
        replaced("CONTRIBUTING.md", "^# Contributing$", "# Contributing\n\nIt gets &#54;1%."),
        "seen",
        None,
    ),
    "a printed number that is no claim any more": (
        replaced("logs/claims.jsonl", r'("id": "training/cpu", "printed": \[.*?)"1,000", ', r"\1"),
        "seen",
        None,
    ),
    "the printed root of a release": (
        replaced("README.md", r"(<!--=release/root-->)\w", r"\1z"),
        "numbers",
        None,
    ),
}
