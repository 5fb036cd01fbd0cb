"""Molecules as strings: what is read, made plain, written; RDKit is asked directly beside it."""

from __future__ import annotations

import random

import pytest
from rdkit import Chem

from genloom.molecules import chemistry
from genloom.words import Words

SMILES, SELFIES = (Words((), form) for form in ("smiles", "selfies"))
ASPIRIN = "CC(=O)Oc1ccccc1C(=O)O"


@pytest.mark.parametrize(
    ("given", "plain"),
    [
        ("OCC", ("CCO", False, False, False)),
        ("CC(=O)[O-].[Na+]", ("CC(=O)O", True, True, False)),
        ("C[NH3+]", ("CN", False, True, False)),
        ("C[N+](C)(C)C", ("C[N+](C)(C)C", False, False, True)),  # no hydrogen to take
        ("C[N+](=O)[O-]", ("C[N+](=O)[O-]", False, False, True)),  # balanced within a group
        ("[NH3+]CC(=O)[O-]", ("NCC(=O)O", False, True, False)),
        ("[NH3+]CC1=CC(=O)O[CH-]1", ("[NH3+]Cc1cc(=O)o[cH-]1", False, False, True)),  # no ring else
        ("[13CH3]O", ("[13CH3]O", False, False, False)),
        ("F/C=C/F", ("F/C=C/F", False, False, False)),
        ("C[C@H](N)O", ("C[C@H](N)O", False, False, False)),
        ("CC-C", ("CCC", False, False, False)),  # a bond is no charge
    ],
)
def test_salts_and_charges_go_by_rule(given, plain):
    assert chemistry.plain(given) == plain


@pytest.mark.parametrize("nothing", ["", "C(", "c1cccc1", "C(C)(C)(C)(C)C", "hello", "[Xx]"])
def test_what_is_no_molecule_is_none_and_makes_no_noise(nothing, capfd):
    assert chemistry.read(nothing) is None and chemistry.plain(nothing) is None
    assert chemistry.canonical(nothing) == ""
    out, err = capfd.readouterr()
    assert out == err == ""


def test_the_canonical_form_does_not_depend_on_how_it_was_written():
    molecule, found = Chem.MolFromSmiles(ASPIRIN), set()
    for start in range(molecule.GetNumAtoms()):
        found.add(chemistry.canonical(Chem.MolToSmiles(molecule, rootedAtAtom=start)))
    assert found == {ASPIRIN}


def test_selfies_come_back_as_the_same_molecule():
    for smiles in (ASPIRIN, "C[C@H](N)C(=O)O", "C[n+]1ccccc1", "F/C=C/F", "C[N+](=O)[O-]"):
        written = chemistry.to_selfies(smiles)
        assert written.startswith("[")
        assert chemistry.canonical(chemistry.to_smiles(written, SELFIES)) == smiles
    assert chemistry.to_smiles(ASPIRIN, SMILES) == ASPIRIN
    assert chemistry.to_selfies("*CC") == "" == chemistry.to_smiles("[what]", SELFIES)


def test_any_selfies_is_a_molecule():
    """1,000 random streams of the words of real molecules, each with an atom of its own."""
    words = [
        *("[C]", "[=C]", "[#C]", "[N]", "[=N]", "[#N]", "[O]", "[=O]", "[S]", "[=S]", "[P]"),
        *("[F]", "[Cl]", "[Br]", "[I]", "[N+1]", "[=N+1]", "[=N-1]", "[O-1]", "[NH1]", "[NH3+1]"),
        *("[C@@H1]", "[C@H1]", "[C@]", "[C@@]", "[/C]", "[\\C]", "[/N]", "[P@@]", "[=S@]"),
        *("[Ring1]", "[Ring2]", "[=Ring1]", "[Branch1]", "[=Branch1]", "[#Branch2]", "[-/Ring1]"),
    ]
    draw = random.Random(0)
    for _ in range(1000):
        stream = "".join(draw.choices(words, k=draw.randint(1, 80))) + "[C]"
        smiles = chemistry.to_smiles(stream, SELFIES)
        assert smiles and chemistry.read(smiles) is not None, stream
