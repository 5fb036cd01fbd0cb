"""Whether the double bonds of aromatic atoms can alternate, while a molecule is written.

Each atom that must have one double bond is matched with a neighbour: a perfect matching, as Kekule
drew benzene. Which atoms are matched is not known before all bonds are. So all answers are kept:
each is the set of atoms that still miss a double bond, of those that bonds can come to. They grow
like Fibonacci's numbers with the aromatic atoms that are open at once; beyond MOST none is kept.
"""

from __future__ import annotations

from collections.abc import Collection
from enum import IntEnum

Missing = frozenset[frozenset[int]]
MOST = 256  # answers; molecules have some tens
NOTHING: Missing = frozenset([frozenset()])  # no atom misses a bond; no answer at all is {}


class Share(IntEnum):
    """What an atom gives to an aromatic ring."""

    NONE = 0  # it is not aromatic
    PAIR = 1  # two electrons, such as o and [nH]: it has no double bond
    EITHER = 2  # a pair with three bonds, such as n, else one electron
    BOND = 3  # one electron: it has one double bond


def added(missing: Missing, atom: int, share: Share) -> Missing:
    """The answers with one more atom."""
    wants = share in (Share.EITHER, Share.BOND)
    return frozenset(one | {atom} for one in missing) if wants else missing


def joined(missing: Missing, atom: int, other: int) -> Missing:
    """The answers with one more bond, which is a double one or none; of more than MOST, none."""
    pair = {atom, other}
    found = missing | {one - pair for one in missing if pair <= one}
    return found if len(found) <= MOST else frozenset()


def settled(missing: Missing, atom: int) -> Missing:
    """The answers in which an atom missed a bond, which it has now, or needs no more."""
    return frozenset(one - {atom} for one in lacking(missing, atom))


def lacking(missing: Missing, atom: int) -> Missing:
    """The answers in which an atom misses a bond."""
    return frozenset(one for one in missing if atom in one)


def left(missing: Missing, atoms: Collection[int]) -> Missing:
    """The answers that remain where further bonds come to these atoms alone."""
    return frozenset(one for one in missing if one.issubset(atoms))
