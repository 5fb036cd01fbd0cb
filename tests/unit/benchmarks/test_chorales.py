from __future__ import annotations

import math

import pytest
import torch
from benchmarks import chorales

from genloom.codecs.roll import KEYS, OVER
from genloom.core import Tokens
from genloom.models.frames import Frames


def pieces(*lengths: int) -> list[torch.Tensor]:
    return [(torch.rand(length, KEYS) < 0.05).long() for length in lengths]


def blank() -> Frames:
    """Every key is a fair coin, and so is the end."""
    made = Frames(Tokens((9, KEYS), OVER + 1, OVER), {}, width=4, within=False)
    with torch.no_grad():
        for parameter in made.parameters():
            parameter.zero_()
    return made


def test_figures_are_means_over_frames():
    found = chorales.nats(blank(), pieces(3, 8, 1))
    assert found["nats"] == pytest.approx(KEYS * math.log(2), rel=1e-5)
    assert found["all_frames"] == pytest.approx(KEYS * math.log(2), rel=1e-5)
    ends = (3 + 8 + 1 + 3) / 12  # one for each frame, and one for each end
    assert found["with_over"] - found["all_frames"] == pytest.approx(ends * math.log(2), rel=1e-4)


def test_the_first_frame_of_a_piece_is_not_counted_in_the_published_figure():
    made, some = blank(), pieces(4)
    some[0][0] = 1
    with torch.no_grad():
        made.head.out.bias.fill_(-3)
    found = chorales.nats(made, some)
    assert found["nats"] < 0.5 * found["all_frames"]


def test_transposition_keeps_every_note():
    some = pieces(20, 20)
    for piece in some:
        piece[:, :5] = piece[:, -5:] = 0
    some[1][3, 87] = 1  # it cannot be moved
    moved = chorales.transposed(some, 5)
    assert [int(a.sum()) for a in moved] == [int(a.sum()) for a in some]
    assert torch.equal(moved[1], some[1])
    assert chorales.transposed(some, 0)[0].equal(some[0])


def test_the_published_parts_frames_and_floor(monkeypatch, shared_data):
    monkeypatch.setenv("GENLOOM_DATA", str(shared_data))
    parts = chorales.jsb()
    assert [len(parts[part]) for part in chorales.PARTS] == [229, 76, 77]
    assert sum(len(piece) - 1 for piece in parts["test"]) == 4648
    assert chorales.independent(parts) == pytest.approx(11.09, abs=0.005)
