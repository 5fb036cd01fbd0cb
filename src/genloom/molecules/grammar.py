"""Which word may come next in a molecule: SMILES whose rings close, SELFIES that are not empty.

SMILES: Weininger, 1988 (doi:10.1021/ci00057a005). Branches and numbers of rings are closed, a ring
joins two atoms that no bond joins yet, and no atom has more bonds than its element takes: that is
more than an automaton can tell. So far it is exact, or nearly. Beside it, what leaves the double
bonds of aromatic atoms no way to alternate comes only where nothing else may: see `aromatic`.
Whether they are in a ring is not checked, so that RDKit refuses some texts all the same.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import NamedTuple, final

import torch
from torch import Tensor

from genloom.decoding.constraints import WRONG_START, Automaton, too_short
from genloom.errors import BadInput
from genloom.molecules import aromatic
from genloom.molecules.aromatic import NOTHING, Missing, Share
from genloom.molecules.valence import Kind, Word, read

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
WHOLE = (Kind.ATOM, Kind.RING, Kind.CLOSE)  # after them nothing need come
_NOTHING = ("[nop]", "[epsilon]")  # of SELFIES
_OWING = re.compile(r"\[.*(?:Branch|Ring)([1-3])\]")
_PREFIX = re.compile(r"^\[[=#/\\]")  # an atom with its bond
_OWED = 3
_ALONE = 2 + _OWED  # the state after an atom without bonds


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
        near: Those that the one at `at` is bonded to.
        branches: Those that branches were opened at, the innermost last.
        rings: (number, atom, order) of those that are open.
        missing: Aromatic atoms that may miss a double bond.
    """

    kind: Kind = Kind.START
    order: int = 0
    at: int = -1
    atoms: tuple[Atom, ...] = ()
    near: frozenset[int] = frozenset()
    branches: tuple[int, ...] = ()
    rings: tuple[tuple[int, int, int], ...] = ()
    missing: Missing = NOTHING


@final
class Smiles:
    """A `Constraint` of the words of SMILES.

    The way to an end that it knows closes what is open as soon as it can, on further atoms where
    none has bonds left. It is sound, and not always the shortest.

    Args:
        words: Of the lexicon, V.
    """

    def __init__(self, words: Sequence[str]):
        self.words = [read(word) for word in words]
        self.kinds = list(dict.fromkeys(self.words))  # words that do the same are tried once
        self.which = torch.tensor([self.kinds.index(word) for word in self.words])
        self.tokens = {word: i for i, word in reversed(list(enumerate(self.words)))}
        atoms = (word for word in self.kinds if word.kind is Kind.ATOM)
        self.host = max(atoms, key=lambda atom: (min(atom.bonds, 4), atom.double), default=None)

    def start(self, left: int, given: Sequence[int] = ()) -> State:
        """See `Constraint`."""
        state: State | None = State()
        for token in given:
            word = self.words[token] if token < len(self.words) else Word(Kind.OTHER)
            state = _after(state, word)
            if state is None:
                raise BadInput(WRONG_START)
        if self._way(state, left) is None:
            raise BadInput(too_short(left))
        return state

    def allowed(self, state: State, left: int) -> Tensor:
        """See `Constraint`; the way to an end is looked for where there is not much room.

        What spoils an aromatic ring is left out where the text can go on, or end, without it.
        """
        tight = left <= 3 * len(state.rings) + len(state.branches) + 6
        found = [_after(state, word) for word in self.kinds]
        fits = [
            one is not None and (not tight or self._way(one, left - 1) is not None) for one in found
        ]
        good = [fit and bool(one and one.missing) for fit, one in zip(fits, found, strict=True)]
        return torch.tensor(good if any(good) or self.complete(state) else fits)[self.which]

    def advance(self, state: State, token: int, left: int) -> State | None:
        """See `Constraint`."""
        found = _after(state, self.words[token])
        return None if found is None or self._way(found, left) is None else found

    def nearest(self, state: State) -> int | None:
        """See `Constraint`."""
        found = None if _closed(state) else self._closing(state)
        return None if found is None else self.tokens.get(found)

    def complete(self, state: State) -> bool:
        """See `Constraint`; where aromatic rings are spoilt already, they are no matter."""
        return _closed(state) and (not state.missing or frozenset() in state.missing)

    def _way(self, state: State, most: int) -> int | None:
        """How many words lead to an end; None where that is not known, or they are more."""
        words, found = 0, state
        while not _closed(found):
            word, words = self._closing(found), words + 1
            if word is None or word not in self.tokens or words > most:
                return None
            after = _after(found, word)
            if after is None:
                return None
            found = after
        return words

    def _closing(self, state: State) -> Word | None:
        """The next word on the way to an end."""
        if state.kind not in WHOLE:
            return self.host
        if state.kind is not Kind.CLOSE:
            for number, _, _ in sorted(state.rings, key=lambda ring: ring[2]):
                word = Word(Kind.RING, number)
                if _after(state, word) is not None:
                    return word
        if state.rings and state.atoms[state.at].free > 0:
            return self.host
        return Word(Kind.CLOSE)


def _after(state: State, word: Word) -> State | None:
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
    return found._replace(kind=kind, missing=aromatic.left(found.missing, _live(found)))


def _live(state: State) -> set[int]:
    """Atoms that a double bond that nobody writes may still come to."""
    rings = (atom for _, atom, order in state.rings if order == 0)
    return {*rings, *(i for i in (state.at, *state.branches) if state.atoms[i].free > 0)}


def _closed(state: State) -> bool:
    """Whether nothing is open."""
    return state.kind in WHOLE and not state.branches and not state.rings


def _stuck(state: State) -> bool:
    """Whether rings are open and no atom that others may be bonded to has a bond left."""
    atoms = (state.atoms[i] for i in (state.at, *state.branches))
    return bool(state.rings) and not state.order and not any(atom.free > 0 for atom in atoms)


def _atom(state: State, word: Word) -> State | None:
    """The state after an atom, bonded to the one before it."""
    atoms, new = [*state.atoms, Atom(word.bonds, word.double, word.share)], len(state.atoms)
    missing = aromatic.added(state.missing, new, word.share)
    if state.at >= 0:
        missing = _joined(missing, atoms, state.order, state.at, new)
        if state.order == 0:  # else the word for the bond has taken it
            missing = _bond(missing, atoms, 0, state.at)
        missing = _bond(missing, atoms, state.order, new)
        if min(atoms[state.at].free, atoms[new].free) < 0:
            return None
    found = state._replace(order=0, at=new, near=frozenset([state.at]))
    return found._replace(atoms=tuple(atoms), missing=missing)


def _ring(state: State, number: int) -> State | None:
    """The state after the number of a ring, which opens or closes it at the last atom."""
    atoms, at, near, missing = list(state.atoms), state.at, state.near, state.missing
    known = {ring[0]: ring for ring in state.rings}
    order = state.order
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
    if state.order == 0:  # else the word for the bond has taken it
        missing = _bond(missing, atoms, order, at)
    if min(atoms[i].free for i in (at, *near) if i >= 0) < 0:
        return None
    found = state._replace(order=0, atoms=tuple(atoms), near=near, missing=missing)
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


def selfies(words: Sequence[str]) -> Automaton:
    """The words of SELFIES: Krenn et al., 2020 (arXiv:1905.13741).

    Any row of them is a molecule, but one of nothing too, and what has no place in it is passed
    over. So each part begins with an atom, a branch or a ring is followed by as many words as say
    its length, and what stands for nothing does not come. SELFIES gives eight bonds to an atom that
    it has no number for: one that takes none, such as [Cl-1], is a part alone. RDKit still refuses
    [Si] with five, and a ring that reaches back to [Cl-1]. State 0 begins a part, 1 is inside it,
    1 + k waits for k words of a length, and _ALONE for a dot.

    Args:
        words: Of the lexicon, V.
    """
    table = torch.full((1 + _ALONE, len(words)), -1)
    for i, word in enumerate(words):
        if word == ".":
            table[[1, _ALONE], i] = 0
        elif read(_PREFIX.sub("[", word)) == Word(Kind.ATOM):  # without a bond
            table[0, i] = _ALONE
        elif word not in _NOTHING:
            owing = _OWING.fullmatch(word)
            table[1, i] = 1 if owing is None else 1 + int(owing[1])
            table[2:_ALONE, i] = torch.arange(1, 1 + _OWED)
            if owing is None:
                table[0, i] = 1
    return Automaton(table, torch.isin(torch.arange(1 + _ALONE), torch.tensor([1, _ALONE])))
