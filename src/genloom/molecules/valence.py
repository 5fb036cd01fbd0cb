"""What the words of SMILES are, and how many bonds their atoms take.

SMILES: Weininger, 1988 (doi:10.1021/ci00057a005). The most bonds of each element are those that
RDKit takes for no mistake; an atom with a charge takes as many as its neighbour among the elements.
"""

from __future__ import annotations

import re
from enum import IntEnum
from typing import NamedTuple

from genloom.molecules.aromatic import Share


class Kind(IntEnum):
    """What a word of SMILES is, or has been; a link is a bond after which no ring may come."""

    START = 0
    ATOM = 1
    BOND = 2
    RING = 3
    OPEN = 4
    CLOSE = 5
    DOT = 6
    LINK = 7
    OTHER = 8


_MARKS = {"(": Kind.OPEN, ")": Kind.CLOSE, ".": Kind.DOT}
_ORDERS = {"-": 1, "/": 1, "\\": 1, "=": 2, "#": 3}
_ATOM = re.compile(
    r"\[\d*(?P<element>[A-Z][a-z]?|as|se|te|[bcnops])@{0,2}(?P<hydrogen>H\d?)?"
    r"(?P<charge>\+\d|\++|-\d|-+)?(:\d+)?\]|(?P<bare>Br|Cl|[BCNOPSFI]|[bcnops])"
)
_GROUPS = (
    ("B", "Al", "Ga", "In"),
    ("C", "Si", "Ge", "Sn"),
    ("N", "P", "As", "Sb"),
    ("O", "S", "Se", "Te"),
    ("F", "Cl", "Br", "I"),
    ("Ne", "Ar", "Kr", "Xe"),
)
_SECOND = [group[0] for group in _GROUPS]  # the second period
_BONDS = (3, 4, 3, 2, 1, 0), (3, 4, 5, 6, 1, 0)  # of each group: in the second period, and later
_AROMATIC = (3, 3, 3, 2, 0, 0)  # beside the electrons that the ring shares
_LONE = 1  # bonds of elements that are in no group


class Word(NamedTuple):
    """What a word of SMILES does.

    Args:
        kind: What it is.
        value: The order of a bond, or the number of a ring.
        bonds: Of an atom, the single ones that it takes; an aromatic one shares an electron more.
        double: Of them as many as a double bond is worth.
        share: What it gives to an aromatic ring.
    """

    kind: Kind
    value: int = 0
    bonds: int = 0
    double: int = 2
    share: Share = Share.NONE


def read(word: str) -> Word:
    """What a word does; those that do not come in molecules of these rules are of another kind."""
    if word in _MARKS:
        return Word(_MARKS[word])
    if word in _ORDERS:
        return Word(Kind.BOND, _ORDERS[word])
    if word.lstrip("%").isdecimal():
        return Word(Kind.RING, int(word.lstrip("%")))
    found = _ATOM.fullmatch(word)
    if found is None:
        return Word(Kind.OTHER)
    element = found["bare"] or found["element"]
    hydrogen, charge = found["hydrogen"] or "H0", found["charge"] or ""
    signs = int(charge[1:]) if charge[1:].isdigit() else len(charge)
    group = _group(element.capitalize(), -signs if "-" in charge else signs)
    held, pale = int(hydrogen[1:] or 1), element.islower()
    row = _AROMATIC if pale else _BONDS[element not in _SECOND]
    bonds = (_LONE if group < 0 else row[group]) - held
    if bonds < 0:
        return Word(Kind.OTHER)
    share = Share.BOND if group == 1 else Share.EITHER if (group, held) == (2, 0) else Share.PAIR
    double = 1 if element == "c" else 2
    return Word(Kind.ATOM, bonds=bonds, double=double, share=share if pale else Share.NONE)


def _group(element: str, charge: int) -> int:
    """The column of an element in `_GROUPS`, with a charge that of its neighbour; -1: none."""
    for i, group in enumerate(_GROUPS):
        if element in group:
            return min(max(i - charge, 0), len(_GROUPS) - 1)
    return -1
