"""Numbers as a person reads them: as many digits as the interval supports, units, durations."""

from __future__ import annotations

import math

MINUS = "\u2212"
DASH = "\u2013"


def decimals(half: float, value: float = 0.0) -> int:
    """Digits after the point that show two digits of the uncertainty, or three of the value."""
    size = half if half > 0 else abs(value) / 10
    if size <= 0:
        return 2
    return max(0, min(6, 1 - math.floor(math.log10(size))))


def number(value: float, places: int | None = None, *, percent: bool = False) -> str:
    """A number with a true minus sign, or as a share of a hundred; tiny and huge ones as powers."""
    if percent:
        places = 1 if places is None else max(0, min(1, places - 2))
        return f"{_plain(100 * value, places)} %"
    if places is None:
        places = decimals(0.0, value)
    if value and not 1e-5 <= abs(value) < 1e7:
        mantissa, _, power = f"{value:.2e}".partition("e")
        return f"{mantissa}e{int(power)}".replace("-", MINUS)
    return _plain(value, places)


def _plain(value: float, places: int) -> str:
    text = f"{value:,.{places}f}"
    if not text.strip("-0.,"):
        text = text.removeprefix("-")
    return text.replace(",", "\u202f").replace("-", MINUS)


def interval(low: float, high: float, places: int, *, percent: bool = False) -> str:
    """Both ends, with the unit once."""
    a, b = (number(v, places, percent=percent) for v in (low, high))
    return f"{a.removesuffix(' %')} {DASH} {b}"


def duration(seconds: float) -> str:
    """Seconds as 8.2 s, 61 s, 12 min, 3.1 h."""
    if seconds < 10:
        return f"{seconds:.1f} s"
    if seconds < 180:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"


def counted(n: int | None, noun: str) -> str:
    """1 core, 2 cores; a count that nobody knows stays as it is."""
    return f"{n} {noun}" if n == 1 else f"{n} {noun}s"


def together(names: list[str]) -> str:
    """a, b and c."""
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"
