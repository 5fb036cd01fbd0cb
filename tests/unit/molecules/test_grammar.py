"""Grammars of molecules: what RDKit writes may come, and what may come closes what it opens."""

from __future__ import annotations

import itertools
import random
import re

import pytest
from rdkit import Chem

from genloom.decoding.constraints import Strict
from genloom.errors import BadInput
from genloom.molecules import aromatic, chemistry
from genloom.molecules.grammar import Smiles, selfies
from genloom.molecules.smiles import State, after, closed
from genloom.molecules.valence import Kind, read
from genloom.words import words_of

WRITTEN = [
    "CC(=O)Oc1ccccc1C(=O)O",
    "O=S1(=O)NC(=O)c2ccccc21",
    "C[N+](C)(C)CC(=O)[O-]",
    "Cn1c(=O)c2c(ncn2C)n(C)c1=O",
    "N[C@@H](CS)C(=O)O",
    "F/C=C/C#N",
    "C1CC2(C1)CC2",
    "O=[N+]([O-])c1ccc(Br)cc1Cl",
    "FP(F)(F)(F)F",
    "FS(F)(F)(F)(F)F",
    "C[S+](C)CCI",
    "c1cc[nH]c1",
    "C1CC%10CC1CC%10",
    "CC.O",
]
PLAIN = ["C", "N", "O", "F", "S", "=", "#", "(", ")", "1", "2", "[N+]", "[O-]", "[C@@H]", "-"]
SMALL = ["C", "F", "=", "(", ")", "1", "2"]
PALE = ["C", "F", "c", "(", ")", "1", "2"]
LEFT = 10**6


def walked(form, words: list[str], text: list[str]):
    """The state after a text, each word of which may come."""
    state = form.start(LEFT)
    for word in text:
        token = words.index(word)
        assert form.allowed(state, LEFT)[token], (word, text)
        state = form.advance(state, token, LEFT)
    return state


def drawn(form, words: list[str], left: int, dice: random.Random) -> list[str]:
    strict, found = Strict(form, left, len(words) + 1, len(words)), []

    def again(_: int) -> int | None:
        return None

    while (mask := strict.allowed()) is not None:
        token = strict.take(dice.choice(mask.nonzero()[:, 0].tolist()), again)
        assert token is not None
        found += [words[token]] if token < len(words) else []
    assert 1 <= len(found) <= left
    return found


def test_molecules_may_be_written():
    words = sorted({word for text in WRITTEN for word in words_of(text, "smiles")})
    form = Smiles(words)
    for text in WRITTEN:
        assert chemistry.canonical(text)
        assert form.complete(walked(form, words, words_of(text, "smiles"))), text


@pytest.mark.parametrize(
    ("before", "never"),
    [
        ("", "=()1."),
        ("CF", "CF=(#1"),
        ("C=O", "CF=(#1"),
        ("C#C", "=#"),
        ("C1", "1).F"),  # a ring of one atom; nothing could close it after F
        ("C1C", "1.F"),  # the bond is there
        ("C12CC1C", ".F"),
        ("C12CC1", "2"),  # 2 would be the same bond again
        ("C=1CC", "F"),
        ("C=1CC#", "1"),  # it was opened as a double bond
        ("C(", "()1.2"),
        ("C(C", "."),
        ("C(C)", "12"),
        ("C(=", "1="),
        ("CC", ")"),
        ("[N+]C[O-]", "C1("),
    ],
)
def test_what_makes_no_molecule_may_not_come(before, never):
    words = [*PLAIN, "."]
    form = Smiles(words)
    state = form.start(LEFT, [words.index(w) for w in words_of(before, "smiles")])
    mask = form.allowed(state, LEFT)
    assert [word for word in never if mask[words.index(word)]] == []


@pytest.mark.parametrize("left", [1, 2, 5, 40])
def test_without_aromatic_atoms_every_text_is_a_molecule(left):
    dice, form = random.Random(left), Smiles(PLAIN)
    texts = ["".join(drawn(form, PLAIN, left, dice)) for _ in range(75)]
    assert [text for text in texts if not chemistry.canonical(text)] == []
    assert len(set(texts)) > left / 3


def test_aromatic_atoms_have_no_more_bonds_than_they_take_and_rings_close():
    words = [*PLAIN, "c", "n", "o", "s", "[nH]"]
    dice, form, params = random.Random(0), Smiles(words), Chem.SmilesParserParams()
    params.sanitize = False
    for _ in range(75):
        assert Chem.MolFromSmiles("".join(drawn(form, words, 30, dice)), params) is not None


def unringed(text: str) -> list[int] | None:
    """Aromatic atoms in no ring, as RDKit finds them, and those with too many neighbours.

    None where it is no SMILES at all.
    """
    params = Chem.SmilesParserParams()
    params.sanitize = False
    molecule = Chem.MolFromSmiles(text, params)
    if molecule is None:
        return None
    Chem.FastFindRings(molecule)
    pale = [atom for atom in molecule.GetAtoms() if atom.GetIsAromatic()]
    crowded = [a for a in molecule.GetAtoms() if a.GetDegree() > 4 - a.GetIsAromatic()]
    return [a.GetIdx() for a in (*crowded, *(a for a in pale if not a.IsInRing()))]


@pytest.mark.parametrize("left", [6, 9, 40])
def test_aromatic_atoms_lie_in_rings(left):
    words = [*PLAIN, "c", "n", "o", "s", "[nH]"]
    dice, form = random.Random(left), Smiles(words)
    texts = ["".join(drawn(form, words, left, dice)) for _ in range(75)]
    assert [text for text in texts if unringed(text) != []] == []
    assert sum("c" in text for text in texts) > 5


def test_wherever_aromatic_atoms_lie_in_rings_they_may_come():
    form, rings = Smiles(words := ["C", "c", "(", ")", "1"]), 0
    for n in range(1, 7):
        for tokens in itertools.product(range(len(words)), repeat=n):
            state, text = State(), "".join(words[token] for token in tokens)
            for token in tokens:
                state = after(state, form.words[token]) if state else None
            may = state is not None and closed(state)
            assert may == (unringed(text) == []), text
            rings += may and "c" in text
    assert rings > 9


@pytest.mark.parametrize(
    ("before", "next_"),
    [("C", "CFc(12"), ("c", "12"), ("c1", "Cc(2"), ("c1c(C", "CFc()12"), ("c1c(c", "Cc(12")],
)
def test_what_opens_no_ring_is_not_aromatic(before, next_):
    form = Smiles(PALE)
    state = form.start(LEFT, [PALE.index(word) for word in before])
    mask = form.allowed(state, LEFT)
    assert "".join(word for word, may in zip(PALE, mask.tolist(), strict=True) if may) == next_


RINGS = ["c1ccccc1", "c1cccc1", "c1cc[nH]c1", "c1ccnc1", "Cn1cccc1", "n1cccc1", "c1ccoc1"]
RINGS += ["c1ccc2ccccc2c1", "c1ccc2cccc2c1", "c1ccn2cccc2c1", "O=c1cccc1", "O=c1cc[nH]cc1"]
RINGS += ["O=c1ccccc1", "c1cc[n+](C)cc1", "c1cc(C=O)ccc1", "C=c1cc[nH]cc1", "c1(cccc1)C", "c1cnoc1"]
RINGS += ["c1ccc(-c2ccco2)cc1", "c1ccc(-c2ccc2)c1", "c12c3c4c1c1c2c3c41", "n1ccncc1", "c1ncn2ccc12"]


@pytest.mark.parametrize("text", RINGS)
def test_double_bonds_of_rings_alternate_where_rdkit_finds_that_they_can(text):
    words = sorted({word for ring in RINGS for word in words_of(ring, "smiles")})
    form = Smiles(words)
    state = form.start(LEFT, [words.index(word) for word in words_of(text, "smiles")])
    found = form.complete(state) and bool(state.missing)
    assert found == bool(chemistry.canonical(text))


def test_a_ring_is_not_closed_where_its_double_bonds_could_not_alternate():
    words = ["c", "[nH]", "1", "2", "(", ")"]
    form = Smiles(words)

    def closes(text: str) -> bool:
        state = form.start(LEFT, [words.index(word) for word in words_of(text, "smiles")])
        return bool(form.allowed(state, LEFT)[words.index("1")])

    assert closes("c1ccccc") and closes("c1cc[nH]c")
    assert not closes("c1cc[nH]cc")  # what its first atom misses can come from nowhere
    assert closes("[nH]1cc[nH]cc")


def test_answers_of_rings_are_few_however_many_atoms_are_open():
    words = ["c", "(", ")", "1", "."]
    form = Smiles(words)
    state = form.start(LEFT)
    for word in ["c", "1", *["(", "c"] * 99, "("]:
        token = words.index(word)
        assert form.allowed(state, LEFT)[token]
        state = form.advance(state, token, LEFT)
        assert state is not None and len(state.missing) <= aromatic.MOST
    left = 300
    while (token := form.nearest(state)) is not None:
        state, left = form.advance(state, token, left), left - 1
    assert form.complete(state) and not form.allowed(state, left).any()  # it ends here


def test_answers_are_all_kept_where_they_are_as_many_as_may_be():
    words = ["c", "(", ")", "1"]
    state = Smiles(words).start(LEFT, [0, 3, 1] + [0, 1] * 11)
    assert 128 < len(state.missing) <= aromatic.MOST
    assert len(Smiles(words).start(LEFT, [0, 3, 1] + [0, 1] * 12).missing) == 0


@pytest.mark.parametrize("words", [SMALL, PALE])
def test_a_way_to_an_end_is_known_wherever_it_is_said_and_hardly_ever_too_long(words):
    form, memo = Smiles(words), {}

    def ends(state: State, left: int) -> bool:
        if closed(state):
            return True
        if left and (state, left) not in memo:
            onward = (form.advance(state, token, LEFT) for token in range(len(words)))
            memo[state, left] = any(one is not None and ends(one, left - 1) for one in onward)
        return bool(left) and memo[state, left]

    dice, missed, total = random.Random(0), 0, 0
    for _, left in itertools.product(range(12), (1, 2, 3, 4)):
        state = form.start(LEFT)
        for _ in range(dice.randrange(7)):
            if tokens := form.allowed(state, LEFT).nonzero()[:, 0].tolist():
                state = form.advance(state, dice.choice(tokens), LEFT)
        for token, may in enumerate(form.allowed(state, left).tolist()):
            found = form.advance(state, token, LEFT)
            can = found is not None and ends(found, left - 1)
            assert can or not may
            missed, total = missed + (can and not may), total + can
    assert missed <= 0.05 * total


def test_the_nearest_end_is_reached():
    form = Smiles(SMALL)
    state = form.start(LEFT, [SMALL.index(word) for word in "C12C(C("])
    for left in range(20, 0, -1):
        if (token := form.nearest(state)) is None:
            break
        state = form.advance(state, token, left)
    assert form.complete(state) and form.nearest(state) is None
    with pytest.raises(BadInput, match="allow more tokens"):
        form.start(3, [SMALL.index(word) for word in "C12C(C("])
    with pytest.raises(BadInput, match="begins as the prompt"):
        form.start(99, [SMALL.index("=")])


@pytest.mark.parametrize(
    ("word", "bonds"),
    [
        ("C", 4),
        ("[CH3]", 1),
        ("[C@@H]", 3),
        ("[NH4+]", 0),
        ("[N+]", 4),
        ("[O-]", 1),
        ("[13C]", 4),
        ("[Cl-]", 0),
        ("[S+]", 5),
        ("[nH]", 2),
        ("[n+]", 3),
        ("[se]", 2),
        ("[Na+]", 1),
        ("[O-2]", 0),
        ("[B-]", 4),
    ],
)
def test_bonds_of_atoms(word, bonds):
    assert read(word).kind is Kind.ATOM and read(word).bonds == bonds


@pytest.mark.parametrize("word", ["[OH9]", "$", "*", "[C", "Xx", ":"])
def test_other_words_never_come(word):
    assert read(word).kind is Kind.OTHER


@pytest.mark.parametrize("left", [1, 2, 5, 40])
def test_selfies_are_molecules_without_a_word_too_few(left):
    package, dice = chemistry.selfies(), random.Random(left)
    whole = [chemistry.to_selfies(text) for text in WRITTEN]
    words = sorted({word for text in whole if text for word in words_of(text, "selfies")})
    words += ["[nop]", "[Branch3]"]
    form = selfies(words)
    for text in filter(None, whole):
        assert form.complete(walked(form, words, words_of(text, "selfies")))
    texts = [drawn(form, words, left, dice) for _ in range(75)]
    assert all(chemistry.canonical(package.decoder("".join(text))) for text in texts)
    for text in texts:
        place = 0
        while place < len(text):
            said = re.fullmatch(r".*(?:Branch|Ring)(\d)]", text[place])
            place += 1 + (int(said[1]) if said else 0)
        assert place == len(text) and "[nop]" not in text
    with pytest.raises(BadInput, match="begins as the prompt"):
        form.start(9, [words.index("[nop]")])


@pytest.mark.parametrize("left", [1, 5, 40])
def test_an_atom_that_takes_no_bond_is_a_part_alone(left):
    lone = ["[Cl-1]", "[=O-2]", "[NH4+1]"]
    words = ["[C]", "[=C]", "[N+1]", "[F]", "[Na+1]", "[Branch1]", "[O]", ".", *lone]
    package, dice, form = chemistry.selfies(), random.Random(left), selfies(words)
    texts = [drawn(form, words, left, dice) for _ in range(150)]
    assert all(chemistry.canonical(package.decoder("".join(text))) for text in texts)
    assert any(set(text) & set(lone) for text in texts)
    assert form.complete(walked(form, words, ["[Na+1]", ".", "[Cl-1]", ".", "[C]"]))
    for before in (["[C]"], ["[C]", "[Branch1]"], ["[Cl-1]"]):
        may = form.allowed(walked(form, words, before), LEFT)
        assert not any(may[words.index(word)] for word in lone)
