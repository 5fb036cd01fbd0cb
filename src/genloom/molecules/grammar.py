"""Which word may come next in a molecule: SMILES whose rings close, SELFIES that are not empty.

SMILES: Weininger, 1988 (doi:10.1021/ci00057a005). Branches and numbers of rings are closed, a ring
joins two atoms that no bond joins yet, aromatic atoms lie in rings, and no atom has more bonds than
its element takes: that is more than an automaton can tell. So far it is exact, or nearly. Beside
it, what leaves the double bonds of aromatic atoms no way to alternate comes only where nothing else
may: see `aromatic`. So RDKit refuses some texts all the same.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import final

import torch
from torch import Tensor

from genloom.decoding.constraints import WRONG_START, Automaton, too_short
from genloom.errors import BadInput
from genloom.molecules.smiles import WHOLE, State, after, closed
from genloom.molecules.valence import Kind, Word, read

_NOTHING = ("[nop]", "[epsilon]")  # of SELFIES
_OWING = re.compile(r"\[.*(?:Branch|Ring)([1-3])\]")
_PREFIX = re.compile(r"^\[[=#/\\]")  # an atom with its bond
_OWED = 3
_ALONE = 2 + _OWED  # the state after an atom without bonds


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
        self.ring = next((word for word in self.words if word.kind is Kind.RING), None)
        if self.ring is None:  # no atom comes to lie in one
            self.words = [Word(Kind.OTHER) if word.share else word for word in self.words]
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
            state = after(state, word)
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
        found = [after(state, word) for word in self.kinds]
        fits = [
            one is not None and (not tight or self._way(one, left - 1) is not None) for one in found
        ]
        good = [fit and bool(one and one.missing) for fit, one in zip(fits, found, strict=True)]
        return torch.tensor(good if any(good) or self.complete(state) else fits)[self.which]

    def advance(self, state: State, token: int, left: int) -> State | None:
        """See `Constraint`."""
        found = after(state, self.words[token])
        return None if found is None or self._way(found, left) is None else found

    def nearest(self, state: State) -> int | None:
        """See `Constraint`."""
        found = None if closed(state) else self._closing(state)
        return None if found is None else self.tokens.get(found)

    def complete(self, state: State) -> bool:
        """See `Constraint`; where aromatic rings are spoilt already, they are no matter."""
        return closed(state) and (not state.missing or frozenset() in state.missing)

    def _way(self, state: State, most: int) -> int | None:
        """How many words lead to an end; None where that is not known, or they are more."""
        words, found = 0, state
        while not closed(found):
            word, words = self._closing(found), words + 1
            if word is None or word not in self.tokens or words > most:
                return None
            following = after(found, word)
            if following is None:
                return None
            found = following
        return words

    def _closing(self, state: State) -> Word | None:
        """The next word on the way to an end."""
        if state.bare and not state.rings:
            return self.ring
        if state.kind not in WHOLE:
            return self.host
        if state.kind is not Kind.CLOSE:
            for number, _, _ in sorted(state.rings, key=lambda ring: ring[2]):
                word = Word(Kind.RING, number)
                if after(state, word) is not None:
                    return word
        if state.rings and state.atoms[state.at].free > 0:
            return self.host
        return Word(Kind.CLOSE)


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
