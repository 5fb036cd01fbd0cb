"""A SMILES while it is written: its atoms so far, and what each word does to them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from genloom.molecules import aromatic, cycles
from genloom.molecules.aromatic import NOTHING, Missing, Share
from genloom.molecules.valence import Kind, Word

_ON = (Kind.ATOM, Kind.BOND, Kind.OPEN, Kind.CLOSE, Kind.DOT)
FOLLOWING: dict[Kind, tuple[Kind, ...]] = {
    Kind.START: (Kind.ATOM,),
    Kind.ATOM: (*_ON, Kind.RING),
    Kind.RING: (*_ON, Kind.RING),
    Kind.CLOSE: _ON,
    Kind.BOND: (Kind.ATOM, Kind.RING),
    Kind.OPEN: (Kind.ATOM, Kind.BOND),
    Kind.LINK: (Kind.ATOM,),
    Kind.DOT: (Kind.ATOM,),
}
_OPENING = {Kind.ATOM: 2, Kind.BOND: 1}  # bonds that an atom has left, before a ring and after it
WHOLE = (Kind.ATOM, Kind.RING, Kind.CLOSE)  # after them nothing need come


class Atom(NamedTuple):
    """An atom that was written.

    Args:
        free: Bonds that it still takes.
        double: See `Word`.
        share: See `Word`.
    """

    free: int
    double: int
    share: Share

    def bonded(self, order: int) -> Atom:
        """The same with one more bond; 0 is the order of one that nobody wrote."""
        cost = self.double if order == 2 else max(order, 1)
        return Atom(self.free - cost, self.double, self.share)


class State(NamedTuple):
    """Where a SMILES is.

    Args:
        kind: Of its last word.
        order: Of the bond that was written before the next atom, 0 where none was.
        at: The atom that the next one is bonded to.
        atoms: All of them.
        parents: Of each atom the one before it that it is bonded to, or -1.
        near: Those that the one at `at` is bonded to.
        branches: Those that branches were opened at, the innermost last.
        rings: (number, atom, order) of those that are open.
        missing: Aromatic atoms that may miss a double bond.
        bare: Aromatic atoms that lie in no ring yet.
    """

    kind: Kind = Kind.START
    order: int = 0
    at: int = -1
    atoms: tuple[Atom, ...] = ()
    parents: tuple[int, ...] = ()
    near: frozenset[int] = frozenset()
    branches: tuple[int, ...] = ()
    rings: tuple[tuple[int, int, int], ...] = ()
    missing: Missing = NOTHING
    bare: frozenset[int] = frozenset()


def after(state: State, word: Word) -> State | None:
    """The state after a word; None where it may not come there, whatever follows."""
    kind = word.kind
    if kind not in FOLLOWING[state.kind]:
        return None
    if kind is Kind.ATOM:
        found = _atom(state, word)
    elif kind is Kind.RING:
        found = _ring(state, word.value)
    elif kind is Kind.BOND:
        link = state.kind in (Kind.OPEN, Kind.CLOSE)
        kind, atoms = Kind.LINK if link else Kind.BOND, list(state.atoms)
        missing = _bond(state.missing, atoms, word.value, state.at)
        found = state._replace(order=word.value, atoms=tuple(atoms), missing=missing)
        found = found if atoms[state.at].free >= 0 else None
    elif kind is Kind.OPEN:
        atom, missing = state.atoms[state.at], state.missing
        if atom.share is Share.EITHER and atom.free == 1:  # it will be full
            missing = aromatic.lacking(missing, state.at)
        found = state._replace(branches=(*state.branches, state.at), missing=missing)
        found = found if atom.free > 0 else None
    elif kind is Kind.CLOSE:
        *rest, at = state.branches or (-1,)
        found = state._replace(kind=kind, at=at, branches=tuple(rest)) if at >= 0 else None
    else:
        found = None if state.branches or state.rings else state._replace(kind=kind, at=-1)
    if found is None or _stuck(found):
        return None
    found = found._replace(kind=kind)
    if found.bare and not _ringed(found):
        return None
    return found._replace(missing=aromatic.left(found.missing, _live(found)))


def _live(state: State) -> set[int]:
    """Atoms that a double bond that nobody writes may still come to."""
    rings = (atom for _, atom, order in state.rings if order == 0)
    return {*rings, *(i for i in (state.at, *state.branches) if state.atoms[i].free > 0)}


def closed(state: State) -> bool:
    """Whether nothing is open."""
    return state.kind in WHOLE and not (state.branches or state.rings or state.bare)


def _stuck(state: State) -> bool:
    """Whether rings are open and no atom that others may be bonded to has a bond left."""
    atoms = (state.atoms[i] for i in (state.at, *state.branches))
    return bool(state.rings) and not state.order and not any(atom.free > 0 for atom in atoms)


def _ringed(state: State) -> bool:
    """Whether aromatic atoms may all come to lie in rings; one without a ring opens it at once."""
    if not state.rings:
        opens = state.kind in _OPENING and state.bare == {state.at}
        return opens and state.atoms[state.at].free >= _OPENING[state.kind]
    live = (state.at, *state.branches)
    ends = [i for i in live if state.atoms[i].free > 0 or (i == state.at and state.order)]
    return cycles.below(state.parents, state.bare, [ring[1] for ring in state.rings], ends)


def _atom(state: State, word: Word) -> State | None:
    """The state after an atom, bonded to the one before it."""
    atoms, new = [*state.atoms, Atom(word.bonds, word.double, word.share)], len(state.atoms)
    parents, bare = (*state.parents, state.at), state.bare | ({new} if word.share else set())
    missing = aromatic.added(state.missing, new, word.share)
    if state.at >= 0:
        missing = _joined(missing, atoms, state.order, state.at, new)
        if state.order == 0:  # else the word for the bond has taken it
            missing = _bond(missing, atoms, 0, state.at)
        missing = _bond(missing, atoms, state.order, new)
        if min(atoms[state.at].free, atoms[new].free) < 0:
            return None
    found = state._replace(order=0, at=new, near=frozenset([state.at]))
    return found._replace(atoms=tuple(atoms), parents=parents, missing=missing, bare=bare)


def _ring(state: State, number: int) -> State | None:
    """The state after the number of a ring, which opens or closes it at the last atom."""
    atoms, at, near, missing = list(state.atoms), state.at, state.near, state.missing
    known, order, bare = {ring[0]: ring for ring in state.rings}, state.order, state.bare
    if (ring := known.pop(number, None)) is None:
        known[number] = (number, at, order)
    else:
        _, other, opened = ring
        order = state.order or opened
        if other == at or other in near or (opened and opened != order):
            return None
        missing = _joined(missing, atoms, order, other, at)
        if order > max(opened, 1):  # less was set aside for it
            atoms[other] = atoms[other]._replace(free=atoms[other].free + 1)
            missing = _bond(missing, atoms, order, other)
        near = near | {other}
        bare = bare and bare - cycles.path(state.parents, other, at)
    if state.order == 0:  # else the word for the bond has taken it
        missing = _bond(missing, atoms, order, at)
    if min(atoms[i].free for i in (at, *near) if i >= 0) < 0:
        return None
    found = state._replace(order=0, atoms=tuple(atoms), near=near, missing=missing, bare=bare)
    return found._replace(rings=tuple(known.values()))


def _joined(missing: Missing, atoms: Sequence[Atom], order: int, one: int, other: int) -> Missing:
    """What aromatic atoms may miss where two atoms have a bond; 0: its order is not written."""
    free = order == 0 and atoms[one].share and atoms[other].share
    return aromatic.joined(missing, one, other) if free else missing


def _bond(missing: Missing, atoms: list[Atom], order: int, end: int) -> Missing:
    """Take the bonds of an order from one of the atoms, and give what is missed then."""
    before, atoms[end] = atoms[end], atoms[end].bonded(order)
    full = before.share is Share.EITHER and before.free > atoms[end].free == 0
    return aromatic.settled(missing, end) if before.share and (order == 2 or full) else missing
