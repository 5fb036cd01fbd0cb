"""Measures of molecules: what counts, what is refused, and where they stand in a verdict."""

from __future__ import annotations

import random

import pytest
import torch

from genloom.core import Items
from genloom.data import open_dataset, open_test
from genloom.errors import Refused
from genloom.lexicon import END
from genloom.metrics import molecules
from genloom.metrics.bench import bench
from genloom.metrics.copies import copy_test
from genloom.metrics.text import recapture, verbatim
from genloom.molecules import chemistry
from genloom.words import Words

LINKS = ("C", "N", "O", "C(C)", "C(=O)", "C(F)", "c1ccccc1", "C1CC1", "C(CC(C)=O)")


def chains(n: int, seed: int, head: str = "") -> list[str]:
    """Different molecules that begin alike."""
    draw, found = random.Random(seed), dict[str, None]()
    while len(found) < n:
        links = draw.choices(LINKS, k=draw.randint(4, 9))
        found[chemistry.canonical("".join([head, *links]))] = None
    return list(found)


def rows(texts: list[str], form: str = "smiles") -> tuple[torch.Tensor, Items]:
    """Texts as rows of ids, and what they are."""
    words = Words(tuple("CNOF()=-c123"), form, marks=(END,))
    if form == "selfies":
        words = Words(("[C]", "[O]", "[Ring1]", "[=O]"), form, marks=(END,))
    ids = [words.document((("", text),)) for text in texts]
    length = max(map(len, ids))
    table = torch.tensor([[*row, *[words.end] * (length - len(row))] for row in ids])
    return table, Items("text", (length,), lexicon=words)


def test_rows_are_read_in_one_form():
    items, about = rows(["OCC", "CCO", "C(", "C1CC"])
    assert molecules.canonicals(items, about) == ["CCO", "CCO", "", ""]
    items, about = rows(["[O][C]", "[Ring1]", "[C][=O]"], "selfies")
    assert molecules.canonicals(items, about) == ["CO", "", "C=O"]


def test_a_copier_is_valid_and_not_new_whatever_it_writes():
    train = chains(60, 0)
    back = [
        chemistry.rdkit().MolToSmiles(chemistry.read(one), canonical=False, rootedAtAtom=1)
        for one in train
    ]
    assert sum(one != other for one, other in zip(train, back)) > 30
    (x, about), (y, _), (known, _) = rows(back), rows(chains(40, 1)), rows(train)
    found = molecules.compare(x, y, about, known)
    assert found["validity"]().value == found["uniqueness"]().value == 1
    novelty = found["novelty"]()
    assert novelty.value == 0 and novelty.high < 0.1


def test_what_repeats_itself_is_not_unique_and_counts_once_as_new():
    x = molecules.look([*chains(50, 0), *chains(50, 0)[:30], *[""] * 20])
    assert molecules.validity(x).value == 0.8
    assert molecules.uniqueness(x).value == 50 / 80
    assert molecules.novelty(x, frozenset(chains(50, 0)[:20])).value == 30 / 50


def test_the_same_molecule_over_and_over_has_no_diversity():
    same, varied = molecules.look(["CCO"] * 40), molecules.look(chains(40, 0))
    assert molecules.internal_diversity(same).value == pytest.approx(0, abs=1e-6)
    found = molecules.internal_diversity(varied)
    assert 0.5 < found.low < found.value < found.high < 1
    assert molecules.snn(varied, varied).value == pytest.approx(1)


def test_two_halves_of_the_data_are_near_and_heavier_molecules_are_far():
    one, other = molecules.look(chains(200, 0)), molecules.look(chains(200, 1))
    heavy = molecules.look(chains(200, 2, "C" * 9))
    for name in ("weight", "logp"):
        near = molecules.property_distance(name, one, other)
        far = molecules.property_distance(name, heavy, other)
        assert near.high < far.low, name
    distance = molecules.property_distance("weight", heavy, one)
    assert distance.value == pytest.approx(9 * 14.027, rel=0.1) and distance.unit == "Da"


def test_too_few_molecules_are_refused_with_the_number():
    few, many = molecules.look([*chains(12, 0), *[""] * 40]), molecules.look(chains(60, 1))
    assert molecules.validity(few).n == 52
    measures = molecules.measures(few, many, frozenset())
    for name in ("uniqueness", "novelty", "internal_diversity", "snn", "qed_w1"):
        with pytest.raises(Refused, match=r"at least 30 items a side, not 12 .*molecules"):
            measures[name]()
    with pytest.raises(Refused, match="two rings"):
        molecules.scaffolds(many, molecules.look(["CCO"] * 50))


def test_in_a_verdict_they_stand_beside_real_molecules_and_an_n_gram(tmp_path):
    (tmp_path / "a.smi").write_text("\n".join(chains(900, 0)))
    dataset = open_dataset(tmp_path, valid=0.2, test=0.2)
    made = bench(
        dataset.items, dataset.train, dataset.valid, open_test(dataset), 160, cache=tmp_path
    )
    assert "distinct_4" not in made.floors.estimates
    for name in ("validity", "uniqueness", "novelty"):
        assert made.floors.estimates[name].value == 1, name
    plain = made.trivials.estimates
    assert 0.2 < plain["validity"].value < 0.99
    assert plain["weight_w1"].value > made.floors.estimates["weight_w1"].value
    real = made.measure(made.real).estimates
    assert real["snn"].value == pytest.approx(1) and real["weight_w1"].value == 0


def test_a_set_that_is_nearly_known_recurs_without_being_copied():
    """Of a small space: who draws from all of it repeats four fifths, and has copied nothing."""
    generator = torch.Generator().manual_seed(0)
    space = torch.cartesian_prod(*[torch.arange(4)] * 6)
    space = space[torch.randperm(len(space), generator=generator)[:3000]]
    train, unseen = space[:2400], space[2400:]
    near = [verbatim(unseen[i : i + 300], train, 9) for i in (0, 300)]

    def judged(samples: torch.Tensor):
        chance = recapture(samples, train, unseen)
        return copy_test("runs", verbatim(samples, train, 9), *near, chance), chance

    honest, chance = judged(space[torch.randint(3000, (600,), generator=generator)])
    assert honest.share > 0.7 and not honest.copied
    assert chance.rate == pytest.approx(0.8, abs=3 * chance.error)
    assert not judged(space[:1].repeat(600, 1) + 4)[0].copied  # nothing of the space at all
    rows = torch.randint(2400, (600,), generator=generator)
    copier = torch.cat((train[rows[:450]], space[torch.randint(3000, (150,), generator=generator)]))
    assert judged(copier)[0].copied and judged(train[rows])[0].copied


def test_a_verdict_on_molecules_expects_what_samples_hit_unseen(tmp_path):
    (tmp_path / "b.smi").write_text("\n".join(chains(900, 5)))
    dataset = open_dataset(tmp_path, valid=0.2, test=0.2)
    test = open_test(dataset)
    made = bench(dataset.items, dataset.train, dataset.valid, test, 160, cache=tmp_path)
    assert made.recurrence.rate == 0 and len(made.unseen) == 360
    assert made.facing(made.unseen[:36]).recurrence.rate == 1
    assert made.facing(dataset.train.items[:100]).recurrence.rate == pytest.approx(0.015)
