"""Each creeping failure, rigged: the alarm names it within the steps that its rule states."""

from __future__ import annotations

import math

import pytest
import torch

from genloom import errors
from genloom.errors import Overfitted
from genloom.health import EVERY, RULES, Monitor, diversity
from tests.tiny import points

RIGGED = {
    "discriminator_gap": (40.0, 3.0, errors.DiscriminatorWins),
    "overfit": (1.0, 0.75, Overfitted),
    "diversity": (0.05, 0.9, errors.Collapsed),
    "posterior_nats": (0.01, 20.0, errors.PosteriorDied),
    "codebook_perplexity_share": (0.02, 0.6, errors.CodebookDied),
}


def rings(
    figure: str, value: float, total: int = 2000, until: int = 1200
) -> tuple[int, object] | None:
    monitor = Monitor(total)
    for step in range(EVERY, until + 1, EVERY):
        for alarm in monitor.check(step, {figure: value}):
            return step, alarm
    return None


def test_every_rule_is_rigged():
    assert set(RIGGED) == set(RULES)


@pytest.mark.parametrize("figure", RIGGED)
def test_a_rigged_failure_rings_in_time_and_health_never(figure):
    sick, well, error = RIGGED[figure]
    step, alarm = rings(figure, sick)
    rule = RULES[figure]
    assert step <= rule.grace * 2000 + rule.patience
    assert alarm.error is error and alarm.error.exit_code >= 10
    assert rings(figure, well) is None


def test_exit_codes_are_distinct():
    kinds = [rule.error for rule in RULES.values()] + [errors.Diverged, errors.Plateau]
    assert len({kind.exit_code for kind in kinds}) == len(kinds)


def test_a_figure_that_recovers_starts_anew():
    monitor = Monitor(1000)
    patience = RULES["discriminator_gap"].patience
    for step in range(EVERY, 900, EVERY):
        value = 1.0 if step % patience == 0 else 40.0
        assert not monitor.check(step, {"discriminator_gap": value})


def test_the_alarm_of_a_discriminator_that_overfits_names_the_remedy():
    step, alarm = rings("overfit", 1.0, until=1200)
    assert step == 1090  # from 600 on, for 50 checks
    for word in ("1.00", "by heart", "more data", "model.augment=translation+cutout", "adaptive"):
        assert word in alarm.message


def test_a_batch_in_which_some_data_are_taken_for_samples_is_no_overfitting():
    monitor = Monitor(4000)
    for step in range(EVERY, 4001, EVERY):
        value = 62 / 64 if step % 400 == 0 else 1.0  # one of 64 rows, now and then
        assert not monitor.check(step, {"overfit": value})


def test_an_alarm_rings_once():
    monitor = Monitor(10_000)
    rung = [a for s in range(EVERY, 9000, EVERY) for a in monitor.check(s, {"posterior_nats": 0.0})]
    assert len(rung) == 1 and "posterior_nats" in monitor.active


@pytest.mark.parametrize(("slope", "expected"), [(0.0, 1), (-0.5, 0), (0.3, 1)])
def test_a_plateau_is_told_from_progress(slope, expected):
    monitor, noise = Monitor(2000), torch.Generator().manual_seed(0)
    alarms = []
    for step in range(EVERY, 2001, EVERY):
        jitter = 1e-4 * float(torch.randn((), generator=noise))
        alarms += monitor.check_plateau(step, 1.0 + slope * step / 2000 + jitter)
    assert len(alarms) == expected
    assert all(1200 <= alarm.step <= 1600 for alarm in alarms)


@pytest.mark.parametrize(
    ("losses", "expected"),
    [
        ([2.0, 1.9, 1.85, 1.84, 1.835, 1.84], []),
        ([2.0, 1.8, 1.83, 1.79, 1.82, 1.78], []),  # one step back, then a better one
        ([2.0, 1.8, 1.83, 1.84, 1.9], [4]),
        ([-5.0, -5.5, -5.4, -5.3], [4]),  # of a density
        ([1.0, 0.5, math.nan, math.nan], []),  # NaN has an alarm of its own
        ([0.5, 0.001, 0.002, 0.002], []),  # near 0, little of the fall
        ([0.5, -0.001, 0.05, 0.06], [4]),
    ],
)
def test_a_held_out_loss_that_rises_twice_in_a_row_is_overfitting(losses, expected):
    monitor, alarms = Monitor(1000), []
    for step, loss in enumerate(losses, 1):
        alarms += monitor.check_held_out(step, loss)
    assert [alarm.step for alarm in alarms] == expected
    assert all(alarm.error is errors.Overfitted for alarm in alarms)
    assert all("train.best" in alarm.message for alarm in alarms)


def test_a_run_that_goes_on_remembers_its_held_out_losses():
    monitor, later, new = Monitor(9), Monitor(9), Monitor(9)
    for loss in (2.0, 1.0, 1.5):
        assert not monitor.check_held_out(1, loss)
    later.held_out, new.held_out = monitor.held_out, Monitor(9).held_out
    assert len(later.check_held_out(2, 1.5)) == 1
    assert not new.check_held_out(2, 1.5) and not new.check_held_out(3, 1.4)
    new.held_out = later.held_out
    assert not new.check_held_out(4, 3.0)  # it has rung


def ring_of_modes(n: int, modes: int, seed: int, apart: int = 1) -> torch.Tensor:
    stream = torch.Generator().manual_seed(seed)
    angle = apart * torch.randint(0, modes, (n,), generator=stream) * (2 * torch.pi / 8)
    centre = 5 * torch.stack([angle.cos(), angle.sin()], 1)
    return centre + 0.1 * torch.randn(n, 2, generator=stream)


def test_diversity_is_one_for_the_same_distribution():
    value = diversity(points(256, 1), points(1024, 2), points(256, 3))
    assert 0.85 < value < 1.15


def test_diversity_sees_a_point_and_missing_modes():
    data, other = ring_of_modes(1024, 8, 1), ring_of_modes(256, 8, 2)
    assert diversity(torch.zeros(256, 2) + 1e-6 * torch.randn(256, 2), data, other) < 0.1
    assert diversity(ring_of_modes(256, 1, 3), data, other) < 0.3
    assert diversity(ring_of_modes(256, 2, 3, apart=4), data, other) < 0.4
    assert diversity(ring_of_modes(256, 8, 3), data, other) > 0.8
