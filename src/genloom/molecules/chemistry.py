"""Molecules as strings, by RDKit: read, made plain, written in one form.

SMILES: Weininger, 1988 (doi:10.1021/ci00057a005). SELFIES: Krenn et al., 2020 (arXiv:1905.13741).
"""

from __future__ import annotations

import importlib.util
import re
import warnings
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

from genloom.errors import need
from genloom.lexicon import Lexicon
from genloom.words import Words

KNOWN = 2**17  # strings whose canonical form is kept
_CHARGE = re.compile(r"\[[^]]*[+-][^]]*\]")  # of an atom; elsewhere - is a bond


class Plain(NamedTuple):
    """A molecule by the rules of `plain`, and which of them were needed.

    Args:
        smiles: Canonical.
        salt: Whether smaller parts were left out.
        neutralised: Whether charges were taken away.
        charged: Whether it still has charges.
    """

    smiles: str
    salt: bool
    neutralised: bool
    charged: bool


def rdkit() -> Any:
    """`rdkit.Chem`.

    Raises:
        MissingExtra: It is not installed.
    """
    try:
        from rdkit import Chem
    except ImportError as error:
        raise need("rdkit", "molecules", "Reading molecules") from error
    return Chem


def selfies() -> Any:
    """The package `selfies`.

    Raises:
        MissingExtra: It is not installed.
    """
    try:
        import selfies
    except ImportError as error:
        raise need("selfies", "molecules", "Reading SELFIES") from error
    return selfies


def read(smiles: str) -> Any | None:
    """The molecule of a SMILES; None where RDKit finds none, or one without an atom."""
    chem = rdkit()
    from rdkit import rdBase

    with rdBase.BlockLogs():
        found = chem.MolFromSmiles(smiles)
    return found if found is not None and found.GetNumAtoms() else None


@lru_cache(maxsize=KNOWN)
def canonical(smiles: str) -> str:
    """The one SMILES of a molecule, whichever it was given by; "" where there is none."""
    found = read(smiles)
    return "" if found is None else rdkit().MolToSmiles(found)


def plain(smiles: str) -> Plain | None:
    """A molecule without its salt and charges; None where there is none.

    Of several parts the one with the most atoms is kept. Charges are taken away by adding or
    removing hydrogen where that can be done; those that balance each other inside a group, as in
    a nitro group, and those that no hydrogen can mend stay, as does what would be no molecule
    without them. Isotopes and stereochemistry stay.
    """
    molecule = read(smiles)
    if molecule is None:
        return None
    from rdkit import rdBase
    from rdkit.Chem.MolStandardize import rdMolStandardize

    written = rdkit().MolToSmiles(molecule)
    salt, neutralised = "." in written, False
    with rdBase.BlockLogs():
        if salt:
            molecule = rdMolStandardize.LargestFragmentChooser().choose(molecule)
            written = _again(molecule)
        if _CHARGE.search(written):
            neutral = _again(rdMolStandardize.Uncharger().uncharge(molecule)) or written
            neutralised, written = neutral != written, neutral
    return Plain(written, salt, neutralised, bool(_CHARGE.search(written)))


def _again(molecule: Any) -> str:
    """The canonical SMILES of a molecule that was changed, "" where that made it none.

    It is read once more: an aromatic ring may be one no longer.
    """
    return canonical(rdkit().MolToSmiles(molecule))


def to_selfies(smiles: str) -> str:
    """The SELFIES of a SMILES; "" where its bonds are none that SELFIES can write."""
    package = selfies()
    try:
        return package.encoder(smiles)
    except package.EncoderError:
        return ""


def to_smiles(text: str, lexicon: Lexicon | None) -> str:
    """The SMILES that a text stands for, as it was drawn; "" where it stands for none.

    Args:
        text: Any words.
        lexicon: What says whether they are of SMILES or of SELFIES.
    """
    assert isinstance(lexicon, Words), lexicon
    if lexicon.form == "smiles":
        return text
    package = selfies()
    try:
        return package.decoder(text)
    except package.DecoderError:
        return ""


def told(text: str, lexicon: Lexicon | None) -> dict[str, Any]:
    """What is to be said of a text: its "smiles", canonical where it is "valid", else as drawn."""
    drawn = to_smiles(text, lexicon)
    plainest = canonical(drawn)
    return {"smiles": plainest or drawn, "valid": bool(plainest)}


def to_smi(text: str, lexicon: Lexicon | None) -> bytes:
    """A file of one SMILES; see `told`."""
    return f"{told(text, lexicon)['smiles']}\n".encode()


def accessibility(molecule: Any) -> float:
    """How hard a molecule is to make, from 1 (easy) to 10 (SA score): Ertl and Schuffenhauer, 2009.

    Computed by the script that comes with RDKit, from the table beside it.
    """
    return _sascorer().calculateScore(molecule)


@lru_cache(maxsize=1)
def _sascorer() -> Any:
    rdkit()
    from rdkit import RDConfig

    path = Path(RDConfig.RDContribDir) / "SA_Score" / "sascorer.py"
    spec = importlib.util.spec_from_file_location("sascorer", path)
    assert spec is not None and spec.loader is not None
    found = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(found)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)  # it leaves its table open
        found.readFragmentScores()
    return found
