"""Addresses in the pages of `make site`, as documents and the audit print them. Pure."""

from urllib.parse import urlencode

SITE = "outputs/site/"  # where `python -m ponder.site` writes, from the root of a checkout


def reader(*runs: str, **words: str) -> str:
    """Return the address of the reader of answers, from the folder of the site, with these runs as
    columns and its other words: q=family/id opens a question.
    """
    pairs = [("run", run) for run in runs] + [*words.items()]
    return f"answers.html#{urlencode(pairs, safe='/')}"
