"""Noise laws and grids against their formulas."""

import math

import pytest
import torch

from genloom import schedules
from genloom.errors import BadInput


def test_linear_table_is_ddpms():
    betas = schedules.betas_linear()
    assert betas[0] == pytest.approx(1e-4) and betas[-1] == pytest.approx(0.02)
    r = schedules.table("linear")
    kept = 1 / (1 + r.square())
    assert kept[0] == pytest.approx(0.9999)
    assert kept[-1] == pytest.approx(4.0358e-5, rel=1e-4)  # the value known of 1,000 steps


def test_cosine_table_follows_equation_17():
    r = schedules.table("cosine")
    kept = 1 / (1 + r.square())
    t = 500 / 1000
    wanted = (
        math.cos((t + 0.008) / 1.008 * math.pi / 2) ** 2
        / math.cos(0.008 / 1.008 * math.pi / 2) ** 2
    )
    assert kept[499] == pytest.approx(wanted, rel=1e-9)
    assert bool((r[1:] > r[:-1]).all())


def test_uniform_law_is_uniform_in_t():
    r = schedules.uniform(torch.tensor([0.25, 0.5, 0.8], dtype=torch.float64))
    assert torch.allclose(r, torch.tensor([1 / 3, 1.0, 4.0], dtype=torch.float64))


@pytest.mark.parametrize(
    ("name", "mean", "std"), [("edm", -1.2 + math.log(2), 1.2), ("logit-normal", 0.0, 1.0)]
)
def test_lognormal_laws(name, mean, std):
    u = (torch.arange(20_000, dtype=torch.float64) + 0.5) / 20_000
    log = schedules.LAWS[name](u).log()
    assert log.mean().item() == pytest.approx(mean, abs=1e-3)
    assert log.std().item() == pytest.approx(std, abs=5e-3)


@pytest.mark.parametrize("name", list(schedules.LAWS))
def test_every_law_is_finite_rising_and_covers_its_span(name):
    u = torch.tensor([0.0, 1e-7, 0.3, 0.7, 1 - 6e-8])
    r = schedules.LAWS[name](u)
    assert r.isfinite().all() and (r > 0).all()
    assert (r[1:] >= r[:-1]).all() and r[3] > r[2]
    low, high = schedules.span(name)
    assert 0 < low < high <= 160
    low, high = schedules.span(name, 3 * 512**2)
    assert low < high <= r[-1] * 1.001 or high == 160
    assert (high > 160) is schedules.is_zero(name)


@pytest.mark.parametrize("grid", [schedules.karras, schedules.straight])
def test_grids_fall_from_high_to_low_to_zero(grid):
    found = grid(10, 0.01, 50.0)
    assert found.shape == (11,) and found.dtype == torch.float64
    assert found[0].item() == pytest.approx(50.0) and found[-2].item() == pytest.approx(0.01)
    assert found[-1] == 0 and (found[1:] < found[:-1]).all()


def test_strided_rows_of_the_table():
    low, high = schedules.span("linear")
    table = schedules.table("linear")
    whole = schedules.strided(1000, low, high, of="linear")
    assert torch.equal(whole[:-1].flip(0), table)
    part = schedules.strided(10, low, high, of="linear")
    assert all(level in table for level in part[:-1]) and (part[1:] < part[:-1]).all()
    with pytest.raises(BadInput, match="1000 rows"):
        schedules.strided(1001, low, high, of="linear")


@pytest.mark.parametrize("name", ["linear", "cosine"])
def test_a_stretched_table_keeps_its_first_level_and_ends_in_noise(name):
    """Lin et al., Alg. 1, told in square roots of "alpha bar"."""
    plain, zero = (1 / (1 + schedules.table(n).square()).sqrt() for n in (name, f"{name}-zero"))
    assert zero[0].item() == pytest.approx(plain[0].item(), rel=1e-12)
    assert zero[-1].item() == pytest.approx(1 / schedules.PURE)
    assert torch.allclose(zero[:-1].diff() / plain[:-1].diff(), zero[0] / (plain[0] - plain[-1]))
    assert (schedules.table(f"{name}-zero").diff() > 0).all()


@pytest.mark.parametrize("name", ["linear-zero", "cosine-zero"])
def test_levels_visited_begin_in_noise_alone(name):
    by_rows = schedules.visited(name, 10, 0.02, by_rows=True)
    even = schedules.visited(name, 10, 0.02, by_rows=False, places=100**2)
    table = schedules.table(name)
    assert all(level in table for level in by_rows[:-1]) and by_rows[0] == schedules.PURE
    assert even[0] == schedules.PURE and len(even) == len(by_rows) == 11
    assert even[1].item() == pytest.approx(min(3000.0, float(table[-2])))
    for found in (by_rows, even):
        assert (found[1:] < found[:-1]).all() and found[-1] == 0 and found[-2] >= 0.02
    assert len(schedules.visited(name, 1, 0.0, by_rows=False)) == 2
