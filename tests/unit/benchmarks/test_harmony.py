from __future__ import annotations

import pytest
import torch
from benchmarks import harmony

BACH = torch.tensor([[72, 72, 74], [67, 67, -1], [60, 64, 62], [48, 48, 50]])


def test_agreement_is_of_the_frames_where_the_true_voice_sounds():
    ours = BACH.clone()
    ours[1] = torch.tensor([67, 65, 65])  # one of two; the third is a rest of Bach
    ours[2, 0] = -1
    found = harmony.agreement([ours, BACH], [BACH, BACH])
    assert found == pytest.approx([1, 3 / 4, 5 / 6, 1])


def test_pairs_of_voices_may_be_harsh():
    assert harmony.dissonance([BACH]) == 0
    tense = torch.tensor([[72, 72], [71, 66], [-1, -1], [48, 50]])  # a second; a tritone, a second
    assert harmony.dissonance([tense]) == pytest.approx((2 + 2) / 6)


def test_parallels_move_both_voices():
    fifths = torch.tensor([[67, 69, 69, 71], [60, 62, 62, 60], [-1, -1, -1, -1], [41, 41, 41, 41]])
    assert harmony.parallels([fifths]) == 25  # once in four frames: held ones do not count
    octaves = torch.tensor([[72, 74], [-1, -1], [-1, -1], [48, 50]])
    assert harmony.parallels([octaves]) == 50
    apart = torch.tensor([[72, 74], [-1, -1], [-1, -1], [48, 48]])
    assert harmony.parallels([apart]) == 0


def test_floors_know_the_voice_or_the_soprano_above_it():
    train = [torch.tensor([[72, 72, 74], [60, 60, 62], [55, 55, 55], [48, 50, 50]])]
    piece = torch.tensor([[74, 72, 99], [0, 0, 0], [0, 0, 0], [0, 0, 0]])
    (plain,) = harmony.likeliest(train, [piece], under=False)
    assert plain[1:].tolist() == [[60] * 3, [55] * 3, [50] * 3]
    (known,) = harmony.likeliest(train, [piece], under=True)
    assert known[1].tolist() == [62, 60, 60]  # where the soprano is new, the usual one
    assert known[3, 0] == 50
    (some,) = harmony.drawn(train, [torch.full((4, 400), 72)])
    assert (some[2] == 55).all() and set(some[3].tolist()) == {48, 50}
    assert 120 < int((some[3] == 48).sum()) < 280  # as often as the other one


def test_another_piece_lasts_as_long():
    other = BACH[:, :2] + 1
    first, second = harmony.of_others([BACH, other])
    assert torch.equal(first, other[:, [0, 1, 0]]) and torch.equal(second, BACH[:, :2])
