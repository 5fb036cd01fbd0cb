"""Molecules beside held-out ones: valid, unique, new, varied, and of what properties.

Validity, uniqueness, novelty, internal diversity, similarity to the nearest neighbour, scaffolds
and the distances of properties are those of MOSES: Polykovskiy et al., 2020 (arXiv:1811.12823),
Section 4. Molecules are compared in canonical form, and by Tanimoto similarity of Morgan
fingerprints of radius 2 in 1024 bits. What is no molecule counts for validity alone.

QED: Bickerton et al., 2012 (doi:10.1038/nchem.1243). Synthetic accessibility (SA): Ertl and
Schuffenhauer, 2009 (doi:10.1186/1758-2946-1-8), by the script and the table that come with RDKit.
Scaffolds: Bemis and Murcko, 1996 (doi:10.1021/jm9602928).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache, partial
from typing import NamedTuple

import torch
from torch import Tensor

from genloom.core import Items
from genloom.metrics.estimate import (
    GROUPS,
    Estimate,
    enough,
    jackknife,
    leave_out,
    mean_interval,
    wilson,
)
from genloom.molecules import chemistry

NEEDED = 30  # of molecules, or of samples
RADIUS, BITS = 2, 1024
PROPERTIES = ("qed", "sa", "logp", "weight")
UNITS = {"weight": "Da"}
_ONES = " that are molecules"
_PRINTS = f"Morgan {RADIUS}, {BITS} bits; Tanimoto"


class Described(NamedTuple):
    """What is measured of one molecule.

    Args:
        bits: Of its fingerprint, those that are set.
        properties: In the order of `PROPERTIES`.
        scaffold: Canonical SMILES of its rings and what links them; "" below two rings.
    """

    bits: tuple[int, ...]
    properties: tuple[float, ...]
    scaffold: str


@dataclass(frozen=True)
class Seen:
    """What is measured of a set.

    Args:
        n: Items.
        smiles: Canonical, of those that are molecules: m.
        prints: Their fingerprints, float32 (m, 1024) of 0 and 1.
        properties: float64 (m, 4), see `PROPERTIES`.
        scaffolds: Of each.
    """

    n: int
    smiles: Sequence[str]
    prints: Tensor
    properties: Tensor
    scaffolds: Sequence[str]


def canonicals(items: Tensor, about: Items) -> list[str]:
    """The canonical SMILES of rows of ids (n, L); "" for what is no molecule."""
    words = about.lexicon
    return [chemistry.canonical(chemistry.to_smiles(about.read(row), words)) for row in items]


@lru_cache(maxsize=1)
def known(train: Tensor, about: Items) -> frozenset[str]:
    """The molecules of the training part, rows (N, L), that novelty is measured against."""
    return frozenset(canonicals(train, about))


def compare(x: Tensor, y: Tensor, about: Items, train: Tensor) -> dict[str, Callable[[], Estimate]]:
    """Every measure of samples (n, L) beside held-out items (m, L) and training items (N, L)."""
    seen = [look(canonicals(rows, about)) for rows in (x, y)]
    return measures(seen[0], seen[1], known(train, about))


def look(smiles: Sequence[str]) -> Seen:
    """Describe a set of canonical SMILES, "" for what is no molecule."""
    valid = [one for one in smiles if one]
    described = [describe(one) for one in valid]
    prints = torch.zeros(len(valid), BITS)
    for row, one in zip(prints, described):
        row[list(one.bits)] = 1
    properties = torch.tensor([one.properties for one in described], dtype=torch.float64)
    return Seen(
        len(smiles),
        valid,
        prints,
        properties.view(-1, len(PROPERTIES)),
        [one.scaffold for one in described],
    )


@lru_cache(maxsize=2**14)
def describe(smiles: str) -> Described:
    """Describe the molecule of a canonical SMILES."""
    molecule = chemistry.read(smiles)
    assert molecule is not None, smiles
    from rdkit import rdBase
    from rdkit.Chem import QED, MolToSmiles, rdFingerprintGenerator
    from rdkit.Chem.Crippen import MolLogP  # pyright: ignore[reportAttributeAccessIssue]
    from rdkit.Chem.Descriptors import MolWt  # pyright: ignore[reportAttributeAccessIssue]
    from rdkit.Chem.Scaffolds import MurckoScaffold

    easy = chemistry.accessibility(molecule)
    maker = rdFingerprintGenerator.GetMorganGenerator(radius=RADIUS, fpSize=BITS)
    with rdBase.BlockLogs():
        bits = maker.GetFingerprint(molecule).GetOnBits()
        properties = (QED.qed(molecule), easy, MolLogP(molecule), MolWt(molecule))
        scaffold = MurckoScaffold.GetScaffoldForMol(molecule)
        rings = scaffold.GetRingInfo().NumRings()
    return Described(tuple(bits), properties, MolToSmiles(scaffold) if rings > 1 else "")


def measures(x: Seen, y: Seen, known: frozenset[str]) -> dict[str, Callable[[], Estimate]]:
    """Every measure of samples x beside held-out molecules y, by name.

    Args:
        x: Samples.
        y: Held-out items.
        known: Canonical, of the training part.

    Raises:
        Refused: When one is called with too few molecules.
    """
    return {
        "validity": lambda: validity(x),
        "uniqueness": lambda: uniqueness(x),
        "novelty": lambda: novelty(x, known),
        "internal_diversity": lambda: internal_diversity(x),
        "snn": lambda: snn(x, y),
        "scaffolds": lambda: scaffolds(x, y),
        **{f"{name}_w1": partial(property_distance, name, x, y) for name in PROPERTIES},
    }


def validity(x: Seen) -> Estimate:
    """Share of the items that RDKit reads as a molecule with at least one atom."""
    enough("validity", x.n, NEEDED)
    return _share("validity", len(x.smiles), x.n, "read by RDKit")


def uniqueness(x: Seen) -> Estimate:
    """Share of different molecules among all; it falls with n, so compare it at the same n."""
    enough("uniqueness", len(x.smiles), NEEDED, _ONES)
    return _share("uniqueness", len(set(x.smiles)), len(x.smiles), "canonical SMILES")


def novelty(x: Seen, known: frozenset[str]) -> Estimate:
    """Share of the different molecules that the training part does not hold."""
    different = set(x.smiles)
    enough("novelty", len(different), NEEDED, " different molecules")
    id = f"canonical SMILES, {len(known)} known"
    return _share("novelty", len(different - known), len(different), id)


def _share(name: str, count: int, n: int, id: str) -> Estimate:
    return Estimate(name, count / n, *wilson(count, n), n, id, "higher")


def tanimoto(x: Tensor, y: Tensor) -> Tensor:
    """Bits in both over bits in either: (n, D), (m, D) of 0 and 1 -> (n, m) float32."""
    both = x @ y.T
    return both / (x.sum(1, keepdim=True) + y.sum(1) - both).clamp(min=1)


def internal_diversity(x: Seen) -> Estimate:
    """One less the mean similarity of two molecules, which may be the same one (IntDiv, p = 1)."""
    n = len(x.smiles)
    enough("internal_diversity", n, NEEDED, _ONES)
    similar, group = tanimoto(x.prints, x.prints).double(), torch.arange(n) % GROUPS
    value = 1 - float(similar.mean())
    kept = (group != g for g in range(GROUPS))
    low, high = jackknife(value, [1 - float(similar[rows][:, rows].mean()) for rows in kept])
    return Estimate("internal_diversity", value, low, high, n, _PRINTS, "closer")


def snn(x: Seen, y: Seen) -> Estimate:
    """Mean similarity of each sample to the held-out molecule that is nearest to it (SNN)."""
    enough("snn", min(len(x.smiles), len(y.smiles)), NEEDED, _ONES)
    nearest = tanimoto(x.prints, y.prints).amax(1)
    return Estimate("snn", *mean_interval(nearest), len(x.smiles), _PRINTS, "closer")


def scaffolds(x: Seen, y: Seen) -> Estimate:
    """Cosine of how often scaffolds of two rings or more occur in samples and in held-out data."""
    names = sorted({name for name in (*x.scaffolds, *y.scaffolds) if name})
    place = {name: i for i, name in enumerate(names)}
    a, b = (torch.tensor([place[s] for s in side.scaffolds if s]).long() for side in (x, y))
    enough("scaffolds", min(len(a), len(b)), NEEDED, " with a scaffold of two rings")

    def cosine(one: Tensor, other: Tensor) -> float:
        counts = [torch.bincount(side, minlength=len(names)).double() for side in (one, other)]
        return float(torch.nn.functional.cosine_similarity(*counts, dim=0))

    value = cosine(a, b)
    low, high = jackknife(value, leave_out(cosine, a, b))
    id = "Bemis-Murcko, two rings or more"
    return Estimate("scaffolds", value, max(0.0, low), min(1.0, high), len(a), id, "higher")


def property_distance(name: str, x: Seen, y: Seen) -> Estimate:
    """Wasserstein-1 distance between one of the `PROPERTIES` of samples and held-out molecules."""
    column = PROPERTIES.index(name)
    a, b = x.properties[:, column], y.properties[:, column]
    enough(f"{name}_w1", min(len(a), len(b)), NEEDED, _ONES)
    value = wasserstein(a, b)
    low, high = jackknife(value, leave_out(wasserstein, a, b))
    unit = UNITS.get(name, "")
    return Estimate(f"{name}_w1", value, max(0.0, low), high, len(a), "by RDKit", unit=unit)


def wasserstein(a: Tensor, b: Tensor) -> float:
    """Wasserstein-1 distance of (n,) and (m,) values: the area between their distributions."""
    a, b = a.double().sort().values, b.double().sort().values
    at = torch.cat((a, b)).sort().values
    below = [torch.searchsorted(v, at[:-1], right=True).double() / len(v) for v in (a, b)]
    return float(((below[0] - below[1]).abs() * at.diff()).sum())
