"""MIG, SAP and DCI on codes whose scores are known."""

import math

import pytest
import torch

from genloom.errors import BadInput, Refused, need
from genloom.metrics.disentangle import (
    dci,
    dci_scores,
    mig,
    mig_and_sap,
    mutual_information,
    sap,
)

FACTORS = torch.cartesian_prod(torch.arange(4), torch.arange(5), torch.arange(8)).repeat(12, 1)


def perfect() -> torch.Tensor:
    """One number for each factor, each with its own scale and sign."""
    return FACTORS * torch.tensor([1.0, -3.0, 0.2]) + 7


def turned() -> torch.Tensor:
    """The perfect code, in unit deviations, rotated so that every number mixes all factors."""
    unit = (FACTORS - FACTORS.float().mean(0)) / FACTORS.float().std(0)
    rotation = torch.tensor([[2.0, 2.0, -1.0], [2.0, -1.0, 2.0], [-1.0, 2.0, 2.0]]) / 3
    return unit @ rotation.T


def noise(numbers: int = 3) -> torch.Tensor:
    return torch.randn(len(FACTORS), numbers, generator=torch.Generator().manual_seed(0))


def test_a_perfect_code_scores_one():
    codes = torch.cat([perfect(), noise(2)], 1)
    assert mig(perfect(), FACTORS).tolist() == pytest.approx([1, 1, 1], abs=1e-6)
    assert mig(codes, FACTORS).mean() > 0.95
    assert sap(codes, FACTORS).mean() > 0.9
    found = dci(codes, FACTORS)
    assert min(found.disentanglement, found.completeness) > 0.8
    assert found.informativeness > 0.95


def test_noise_scores_zero():
    assert mig(noise(), FACTORS).mean() < 0.05
    assert sap(noise(), FACTORS).mean() < 0.05
    found = dci(noise(), FACTORS)
    assert found.disentanglement < 0.1 and found.completeness < 0.1
    assert found.informativeness < 0.4


def test_a_turned_code_scores_low_though_it_knows_all():
    assert mig(turned(), FACTORS).mean() < 0.3
    assert sap(turned(), FACTORS).mean() < 0.5
    found, best = dci(turned(), FACTORS), dci(perfect(), FACTORS)
    assert found.disentanglement < 0.5 < best.disentanglement
    assert found.informativeness > 0.8


def test_a_factor_that_two_numbers_tell_has_no_gap():
    codes = torch.cat([perfect(), perfect()[:, :1] * 2], 1)
    gaps = mig(codes, FACTORS)
    assert gaps[0].item() == pytest.approx(0, abs=1e-9) and (gaps[1:] > 0.9).all()
    assert sap(codes, FACTORS)[0].item() == pytest.approx(0, abs=1e-9)


def test_information_is_that_of_scikit_learn():
    from sklearn.metrics import mutual_info_score

    codes = noise() + perfect()
    low, high = codes.aminmax(dim=0)
    bins = ((codes - low) / (high - low) * 9).long().clamp(max=8)
    found = mutual_information(codes, FACTORS, bins=9)
    for d in range(3):
        for k in range(3):
            wanted = mutual_info_score(bins[:, d].numpy(), FACTORS[:, k].numpy())
            assert found[d, k].item() == pytest.approx(wanted, abs=1e-9)


def test_scores_do_not_depend_on_scale_or_order():
    codes = perfect() + noise()
    same = codes[:, [2, 0, 1]] * torch.tensor([5.0, 0.1, -2.0]) + 3
    assert mig(same, FACTORS).tolist() == pytest.approx(mig(codes, FACTORS).tolist(), abs=0.02)


def test_a_number_that_never_changes_tells_nothing():
    codes = torch.cat([perfect(), torch.ones(len(FACTORS), 1)], 1)
    assert mutual_information(codes, FACTORS)[3].tolist() == pytest.approx([0, 0, 0], abs=1e-12)


def test_predictions_are_judged_on_other_rows():
    """With as many parts as rows, what was learned by heart is of no use."""
    codes = torch.cat([noise(1), torch.ones(len(FACTORS), 1)], 1)
    assert sap(codes, FACTORS, bins=2000).mean() < 0.1


@pytest.mark.parametrize(
    ("codes", "factors", "message"),
    [
        (torch.ones(4, 3), torch.ones(5, 1).long(), "same rows"),
        (torch.ones(4, 1), torch.ones(4, 1).long(), "D at least 2"),
        (torch.ones(4, 2), torch.rand(4, 1), "integers"),
        (torch.ones(4, 2), torch.tensor([[0], [1], [-1], [0]]), "integers"),
        (torch.full((4, 2), math.nan), torch.tensor([[0], [1], [1], [0]]), "NaN"),
        (torch.rand(4, 2), torch.tensor([[0, 1], [1, 1], [1, 1], [0, 1]]), r"\[1\] have one value"),
    ],
)
def test_what_cannot_be_scored_is_refused(codes, factors, message):
    for measure in (mig, sap, dci):
        with pytest.raises(BadInput, match=message):
            measure(codes, factors)


def scores(codes, factors):
    return {e.name: e for e in (*mig_and_sap(codes, factors), *dci_scores(codes, factors))}


def test_scores_of_a_verdict_have_intervals_and_chance_beside_them():
    some = torch.randperm(len(FACTORS), generator=torch.Generator().manual_seed(2))[:600]
    good = scores((perfect() + 0.3 * noise())[some], FACTORS[some])
    assert list(good) == [
        "mig", "sap", "dci_disentanglement", "dci_completeness", "dci_informativeness"
    ]  # fmt: skip
    for e in good.values():
        assert 0 <= e.low < e.value < e.high <= 1 and e.n == 600 and e.better == "higher", e
        assert e.high - e.low < 0.3 and e.trivial < e.low, e
    assert good["mig"].trivial < 0.1 and good["dci_informativeness"].trivial < 0.4
    mixed = scores(turned()[some], FACTORS[some])
    for name in ("mig", "sap", "dci_disentanglement"):
        assert mixed[name].high < good[name].low, name


def test_intervals_hold_the_value_of_other_items():
    """Of two random halves of the items, each lies within the other's interval, mostly."""
    codes, inside = perfect() + 2.0 * noise(), []
    for seed in range(10):
        order = torch.randperm(len(codes), generator=torch.Generator().manual_seed(seed))
        one, two = (mig_and_sap(codes[part], FACTORS[part]) for part in order[:1200].chunk(2))
        for a, b in zip(one, two, strict=True):
            inside.append(abs(a.value - b.value) < 2**0.5 * (a.high - a.low) / 2)
    assert sum(inside) >= 17, inside


def test_no_number_of_what_cannot_be_scored(monkeypatch):
    codes = perfect()
    for few, said in (
        (codes[:99], "at least 100"), (codes[:, :1], "2 to 256 numbers.*has 1"),
        (codes.repeat(1, 90), "has 270"), (codes / 0.0, "not finite"),
    ):  # fmt: skip
        for measure in (mig_and_sap, dci_scores):
            with pytest.raises(Refused, match=said):
                measure(few, FACTORS[: len(few)])

    def absent(*_, **__):
        raise need("scikit-learn", "demo", "DCI")

    monkeypatch.setattr("genloom.metrics.disentangle.dci", absent)
    with pytest.raises(Refused, match="DCI needs scikit-learn"):
        dci_scores(codes, FACTORS)
