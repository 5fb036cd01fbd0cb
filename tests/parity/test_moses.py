"""Measures of molecules give the known answers of MOSES, and what RDKit says when asked itself."""

from __future__ import annotations

import sys
from collections import Counter
from pathlib import Path

import pytest
import torch
from rdkit import Chem, DataStructs, RDConfig
from rdkit.Chem import QED, Crippen, Descriptors, rdFingerprintGenerator
from rdkit.Chem.Scaffolds import MurckoScaffold
from scipy.stats import wasserstein_distance

from genloom.metrics import molecules
from genloom.molecules.chemistry import canonical

# The strings and the answers of tests/test_metrics.py of molecularsets/moses at 1786291b; the two
# strings are no molecules that RDKit can read.
HELD_OUT = ["Oc1ccccc1-c1cccc2cnccc12", "COc1cccc(NC(=O)Cc2coc3ccc(OC)cc23)c1"]
SAMPLES = [
    *("CNC", "Oc1ccccc1-c1cccc2cnccc12", "INVALID", "CCCP"),
    *("Cc1noc(C)c1CN(C)C(=O)Nc1cc(F)cc(F)c1", "Cc1nc(NCc2ccccc2)no1-c1ccccc1"),
]
ANSWERS = {
    "validity": 2 / 3,
    "snn": 0.3152585653588176,
    "scaffolds": 0.5,
    "internal_diversity": 0.7189187309761661,
}
FRECHET = {  # of one-dimensional normal distributions, which MOSES took of properties in 2018; its
    "qed": 0.045033731661603064,  # answer for SA is not that of the script that RDKit has today
    "logp": 4.9581881764518005,
    "weight": 14761.927533455337,
}
RINGS = ["c1ccc2ccccc2c1", "c1ccc2[nH]ccc2c1", "c1ccc(-c2ccccc2)cc1", "c1ccc2ncccc2c1", "C1CCCCC1"]
ENDS = ["F", "Cl", "OC", "N(C)C", "C(=O)O", "C#N", "S(C)(=O)=O", "CCO", "C(F)(F)F", "NC(C)=O"]
LIST = [canonical(f"{ring}{end}") for ring in RINGS for end in ENDS]


def seen(smiles: list[str], times: int = 1) -> molecules.Seen:
    """Repeated, so that there are enough: no mean over items or pairs changes by that."""
    return molecules.look([canonical(one) for one in smiles] * times)


def test_the_known_answers_of_moses():
    x, y = seen(SAMPLES, 30), seen(HELD_OUT, 30)
    take = molecules.measures(x, y, frozenset())
    assert {name: take[name]().value for name in ANSWERS} == pytest.approx(ANSWERS, rel=1e-6)
    assert take["uniqueness"]().value == 4 / 120


def test_the_known_properties_of_moses():
    means, deviations = zip(
        *(
            (s.properties.mean(0), s.properties.std(0, correction=0))
            for s in map(seen, (SAMPLES, HELD_OUT))
        )
    )
    distance = (means[0] - means[1]).square() + (deviations[0] - deviations[1]).square()
    told = dict(zip(molecules.PROPERTIES, distance.tolist()))
    del told["sa"]
    assert told == pytest.approx(FRECHET, rel=1e-6)


@pytest.fixture(scope="module")
def sascorer():
    sys.path.append(str(Path(RDConfig.RDContribDir) / "SA_Score"))
    try:
        yield pytest.importorskip("sascorer")
    finally:
        sys.path.pop()


def test_rdkit_says_the_same_of_each_molecule(sascorer, recwarn):
    generator = rdFingerprintGenerator.GetMorganGenerator(radius=2, fpSize=1024)
    for smiles in LIST:
        molecule, told = Chem.MolFromSmiles(smiles), molecules.describe(smiles)
        assert told.bits == tuple(generator.GetFingerprint(molecule).GetOnBits())
        assert told.properties == (
            QED.qed(molecule),
            sascorer.calculateScore(molecule),
            Crippen.MolLogP(molecule),
            Descriptors.MolWt(molecule),
        )


def test_rdkit_and_scipy_say_the_same_of_sets():
    a, b = [*LIST[:40], *LIST[:5]], [*LIST[5:], *LIST[:3]]
    x, y = seen(a), seen(b)
    prints = [
        [DataStructs.CreateFromBitString(bits) for bits in map(_string, side.prints)]
        for side in (x, y)
    ]
    similar = [DataStructs.BulkTanimotoSimilarity(one, prints[1]) for one in prints[0]]
    inside = [DataStructs.BulkTanimotoSimilarity(one, prints[0]) for one in prints[0]]
    found = {name: take() for name, take in molecules.measures(x, y, frozenset(a[:5])).items()}
    assert found["snn"].value == pytest.approx(sum(map(max, similar)) / len(a), rel=1e-6)
    mean = sum(map(sum, inside)) / len(a) ** 2
    assert found["internal_diversity"].value == pytest.approx(1 - mean, rel=1e-6)
    assert found["novelty"].value == (len(set(a)) - len(set(a[:5]))) / len(set(a))
    for i, name in enumerate(molecules.PROPERTIES):
        expected = wasserstein_distance(x.properties[:, i], y.properties[:, i])
        assert found[f"{name}_w1"].value == pytest.approx(expected, rel=1e-9, abs=1e-12)
    counts = [Counter(filter(None, map(_scaffold, side))) for side in (a, b)]
    both = sum(counts[0][name] * counts[1][name] for name in counts[0])
    size = [sum(n * n for n in count.values()) ** 0.5 for count in counts]
    assert found["scaffolds"].value == pytest.approx(both / size[0] / size[1], rel=1e-9)
    for estimate in found.values():
        assert estimate.low <= estimate.value <= estimate.high


def _string(bits: torch.Tensor) -> str:
    return "".join(str(int(bit)) for bit in bits)


def _scaffold(smiles: str) -> str | None:
    found = MurckoScaffold.GetScaffoldForMol(Chem.MolFromSmiles(smiles))
    return Chem.MolToSmiles(found) if found.GetRingInfo().NumRings() > 1 else None
