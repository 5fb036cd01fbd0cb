"""Which atoms of a molecule lie in rings, or still may, while it is written.

The atoms are a tree, for each is bonded to an earlier one, and its rings are bonds beside that. An
atom lies in a ring where the way through the tree between the ends of such a bond passes it.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence


def path(parents: Sequence[int], one: int, other: int) -> set[int]:
    """The atoms on the way between two of a part, both with them; a parent comes before a child."""
    found = {one, other}
    while one != other:
        one, other = min(one, other), parents[max(one, other)]
        found.add(other)
    return found


def below(
    parents: Sequence[int], atoms: Collection[int], open_: Iterable[int], ends: Iterable[int]
) -> bool:
    """Whether each of some atoms comes to lie in a ring, or may do so.

    An open ring closes at an atom that is still to come. So one with an atom below it is in a ring
    then, or it is where further atoms are below it, of which one closes a ring from elsewhere.

    Args:
        parents: Of each atom; -1 of the first of a part.
        atoms: Those that are to lie in rings.
        open_: Atoms of rings that are open, at least one.
        ends: Atoms that further ones may be bonded to.
    """
    first, seen = min(atoms), set[int]()
    for atom in (*open_, *ends):
        while atom >= first and atom not in seen:
            seen.add(atom)
            atom = parents[atom]
    return seen.issuperset(atoms)
