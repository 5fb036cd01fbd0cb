"""Numbers as a person reads them."""

from __future__ import annotations

import pytest

from genloom.report.numbers import counted, decimals, duration, interval, number, together


@pytest.mark.parametrize(
    ("value", "places", "percent", "text"),
    [
        (0.01234, None, False, "0.0123"),
        (1234.5, 0, False, "1\u202f234"),
        (-0.5, 2, False, "\u22120.50"),
        (-0.0001, 2, False, "0.00"),
        (0.912, None, True, "91.2 %"),
        (0.05, 2, True, "5 %"),
        (0.0, None, False, "0.00"),
        (3.2e-11, None, False, "3.20e\u221211"),
        (2e9, None, False, "2.00e9"),
    ],
)
def test_number(value, places, percent, text):
    assert number(value, places, percent=percent) == text


@pytest.mark.parametrize(
    ("half", "value", "places"),
    [(0.0042, 1.0, 4), (0.42, 7.0, 2), (42.0, 900.0, 0), (0.0, 0.5, 3), (0.0, 0.0, 2)],
)
def test_two_digits_of_the_uncertainty_are_shown(half, value, places):
    assert decimals(half, value) == places


def test_one_is_singular():
    assert [counted(n, "core") for n in (1, 2, 21)] == ["1 core", "2 cores", "21 cores"]


def test_interval_says_its_unit_once():
    assert interval(0.012, 0.034, 3) == "0.012 \u2013 0.034"
    assert interval(0.5, 0.625, 3, percent=True) == "50.0 \u2013 62.5 %"


def test_durations_and_lists():
    assert [duration(s) for s in (8.24, 61, 720, 11160)] == ["8.2 s", "61 s", "12 min", "3.1 h"]
    assert together(["a"]) == "a"
    assert together(["a", "b", "c"]) == "a, b and c"
