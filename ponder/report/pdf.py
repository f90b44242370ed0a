"""The paper as a PDF, set by typst. The same files give the same bytes."""

from pathlib import Path


def compiled(paper: Path) -> bytes:
    """Return the PDF of the folder `paper`, which holds paper.typ and generated/.

    The text of the figures is set in the font that matplotlib measured it with and brings along;
    no font of this machine is used.
    """
    import matplotlib
    import typst

    fonts = Path(matplotlib.get_data_path()) / "fonts" / "ttf"
    return typst.compile(
        paper / "paper.typ", root=paper, ignore_system_fonts=True, font_paths=[fonts]
    )
