"""Molecules drawn as SVG by RDKit, one or many on a sheet; what is none is text, crossed out."""

from __future__ import annotations

import re
from collections.abc import Sequence
from html import escape
from textwrap import wrap

from genloom.lexicon import Lexicon
from genloom.molecules import chemistry

WIDTH, HEIGHT = 200, 150  # of one drawing, pixels
COLUMNS = 4
_LINE, _LINES = 26, 7  # letters of a line of text, and lines
_NEEDLESS = re.compile(  # what says no more than SVG does by itself
    r" class='[^']*'|fill-rule:evenodd;|;stroke-linecap:butt|;stroke-linejoin:miter"
    r"|;stroke-opacity:1|<!--.*?-->"
)
_STYLE = re.compile(r"style='([^']*)'")  # which a page's policy may forbid; attributes it may not


def draw(smiles: Sequence[str], columns: int = COLUMNS) -> str:
    """A sheet of molecules, row by row, as one SVG.

    Args:
        smiles: As drawn from a model, whatever they are.
        columns: Of the sheet, at most.

    Raises:
        MissingExtra: RDKit is not installed.
    """
    columns = max(1, min(columns, len(smiles)))
    width, height = size_of(len(smiles), columns)
    cells = (
        f'<svg x="{i % columns * WIDTH}" y="{i // columns * HEIGHT}" width="{WIDTH}" '
        f'height="{HEIGHT}"><title>{escape(one)}</title>{_inside(one)}</svg>'
        for i, one in enumerate(smiles)
    )
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" '
        f'viewBox="0 0 {width} {height}"><rect width="100%" height="100%" fill="#fff"/>'
        f"{''.join(cells)}</svg>\n"
    )


def to_svg(text: str, lexicon: Lexicon | None) -> bytes:
    """A drawing of what a text stands for."""
    return to_sheet([text], lexicon)


def to_sheet(texts: Sequence[str], lexicon: Lexicon | None) -> bytes:
    """Drawings of what texts stand for."""
    return draw([chemistry.to_smiles(text, lexicon) for text in texts]).encode()


def size_of(n: int, columns: int = COLUMNS) -> tuple[int, int]:
    """Width and height in pixels of a sheet of n molecules."""
    columns = max(1, min(columns, n))
    return columns * WIDTH, -(-n // columns) * HEIGHT


def _inside(smiles: str) -> str:
    """The elements of one drawing."""
    molecule = chemistry.read(smiles)
    if molecule is None:
        return _crossed(smiles or "(nothing)")
    from rdkit import rdBase
    from rdkit.Chem.Draw import rdMolDraw2D

    with rdBase.BlockLogs():
        drawer = rdMolDraw2D.MolDraw2DSVG(WIDTH, HEIGHT, noFreetype=True)
        rdMolDraw2D.PrepareAndDrawMolecule(drawer, molecule)
        drawer.FinishDrawing()
        whole = drawer.GetDrawingText()
    inside = whole[whole.index("<!-- END OF HEADER -->") : whole.rindex("</svg>")]
    return _STYLE.sub(_attributes, _NEEDLESS.sub("", inside))


def _attributes(style: re.Match[str]) -> str:
    """The properties of a style as attributes."""
    pairs = (one.partition(":") for one in style[1].split(";") if one)
    return " ".join(f"{name}='{value}'" for name, _, value in pairs)


def _crossed(text: str) -> str:
    """A text that is no molecule."""
    lines = wrap(text, _LINE, max_lines=_LINES, placeholder=" ...")
    spans = (f'<tspan x="12" dy="16">{escape(line)}</tspan>' for line in lines)
    return (
        '<text y="12" fill="#b3261e" font-family="monospace" font-size="11" '
        f'text-decoration="line-through">{"".join(spans)}</text>'
    )
