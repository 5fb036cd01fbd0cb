"""Precision to coverage, the two-sample test, classes and diversity, on sets made by hand."""

from __future__ import annotations

import math

import pytest
import torch

from genloom.errors import BadInput, Refused
from genloom.metrics.diversity import class_kl, diversity, spread, vendi
from genloom.metrics.inception_score import classifier_score, score
from genloom.metrics.label_accuracy import label_accuracy
from genloom.metrics.prdc import prdc
from genloom.metrics.two_sample import two_sample


def draw(n, dims, seed, shift=0.0):
    return torch.randn(n, dims, generator=torch.Generator().manual_seed(seed)).double() + shift


def by_name(estimates):
    return {estimate.name: estimate.value for estimate in estimates}


def test_prdc_of_a_set_with_itself_and_with_one_far_away():
    x = draw(200, 4, 0)
    same = by_name(prdc(x, x, id="f"))
    assert same["precision"] == same["recall"] == same["coverage"] == 1
    assert by_name(prdc(x, x + 100, id="f")) == {
        "precision": 0, "recall": 0, "density": 0, "coverage": 0
    }  # fmt: skip


def test_prdc_tells_implausible_from_missing():
    real = torch.cat((draw(100, 3, 0), draw(100, 3, 1, 50)))
    half = by_name(prdc(draw(200, 3, 2), real, id="f"))
    assert half["precision"] > 0.9 and half["coverage"] < 0.55 and half["recall"] < 0.55
    noisy = by_name(prdc(torch.cat((real[::2], draw(100, 3, 3, 200))), real, id="f"))
    assert 0.45 < noisy["precision"] < 0.55 and noisy["coverage"] > 0.9


def test_more_density_than_real_data_have_is_no_better():
    x, y = draw(200, 3, 0), draw(200, 3, 1)
    found = {e.name: e for e in prdc(x / 3, y, id="f")}
    assert found["density"].low > 1 and found["density"].better == "closer"
    assert found["coverage"].better == "higher"


def test_prdc_counts_by_hand():
    """On a line 0, 1, ..., the fifth neighbour is at most 5 away; inside it is strictly nearer."""
    real = torch.arange(100).double()[:, None]
    fake = torch.full((100, 1), 50.5, dtype=torch.float64)
    found = by_name(prdc(fake, real, id="f"))
    assert found["precision"] == 1
    assert found["density"] == pytest.approx(6 / 5)  # radius 3: 48 to 53 hold 50.5
    assert found["coverage"] == pytest.approx(6 / 100)


def test_equal_sets_cannot_be_told_apart_and_shifted_ones_can():
    p_values = [two_sample(draw(150, 6, i), draw(150, 6, 500 + i), id="f")[1] for i in range(60)]
    assert sum(p < 0.05 for p in p_values) <= 8  # 3 expected
    estimate, p = two_sample(draw(300, 6, 0), draw(300, 6, 1, 1.0), id="f")
    assert estimate.value > 0.8 and p < 1e-10 and estimate.low < estimate.value < estimate.high


def test_a_difference_in_shape_alone_is_seen():
    """Same mean, same variance: a ring against a disc of normal points."""
    angle = torch.rand(400, generator=torch.Generator().manual_seed(0)).double() * 2 * math.pi
    ring = torch.stack((angle.cos(), angle.sin()), 1) * 2**0.5
    assert two_sample(ring, draw(400, 2, 1), id="f")[0].value > 0.75


def test_a_dropped_class_is_flagged_and_an_equal_set_is_not():
    generator = torch.Generator().manual_seed(0)
    for _ in range(5):
        real, same = (torch.randint(10, (1000,), generator=generator) for _ in range(2))
        dropped = torch.randint(9, (1000,), generator=generator)
        floor, found = (class_kl(x, real, 10, id="j") for x in (same, dropped))
        assert floor.value < 0.02 and found.value > 0.2 and found.low > floor.high


def test_class_kl_is_finite_for_a_single_class_and_refuses_small_sets():
    one = torch.zeros(200).long()
    assert 1 < class_kl(one, torch.arange(200) % 10, 10, id="j").value < 10
    with pytest.raises(Refused, match="at least 100 items a side, not 99 for 10 classes"):
        class_kl(one[:99], one, 10, id="j")


def test_diversity_is_one_for_equals_and_small_for_a_collapsed_set():
    x, y = draw(300, 8, 0), draw(300, 8, 1)
    same = diversity(x, y, id="f")
    assert same.low < 1 < same.high and same.better == "closer"
    assert diversity(0.1 * x, y, id="f").high < 0.12
    assert spread(torch.tensor([[0.0], [1.0], [3.0]])) == pytest.approx(2)
    with pytest.raises(Refused, match="all alike"):
        diversity(x, torch.ones(300, 8), id="f")


def test_vendi_counts_different_rows():
    assert vendi(torch.eye(5).repeat(10, 1)) == pytest.approx(5)
    assert vendi(torch.eye(5)[:1].repeat(10, 1)) == pytest.approx(1)


def test_the_classifier_score_lies_between_one_and_the_number_of_classes():
    sure = 100 * torch.eye(10).repeat(20, 1)
    found = classifier_score(sure, id="j")
    assert found.value == pytest.approx(10) and found.name == "classifier_score"
    assert score(torch.zeros(200, 10)) == pytest.approx(1)
    assert score(1e6 * torch.eye(10)) == pytest.approx(10)  # softmax underflows: no NaN


def test_label_accuracy_counts():
    logits = torch.eye(10).repeat(10, 1)
    labels = torch.arange(10).repeat(10)
    labels[:25] = (labels[:25] + 1) % 10
    found = label_accuracy(logits, labels, id="j")
    assert found.value == 0.75 and 0.65 < found.low < 0.75 < found.high < 0.84
    with pytest.raises(BadInput, match="1 labels are hidden"):
        label_accuracy(logits, torch.where(torch.arange(100) == 3, -1, labels), id="j")
