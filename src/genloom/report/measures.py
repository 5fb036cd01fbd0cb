"""The measures on the page: cards with intervals on a scale, rows of the table, answers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from genloom.report.baselines import against
from genloom.report.numbers import decimals, interval, number, together
from genloom.report.reading import Subject
from genloom.report.words import ARROWS, Measure, measure

Dict = Mapping[str, Any]
REACH = 1.6  # the trivial generator is drawn where it widens the scale by less than this


def columns(table: Dict) -> list[Dict]:
    """The table's columns in the order in which a person should read them."""
    return sorted(table["columns"], key=lambda column: about(column).rank)


def about(column: Dict) -> Measure:
    """The words for a column; its name may carry a form in brackets."""
    return measure(column["name"].partition(" (")[0])


def anchor(column: Dict, table: Dict) -> str:
    """An identifier for links, free of any text from outside."""
    return f"measure-{[c['name'] for c in table['columns']].index(column['name'])}"


def arrow(column: Dict) -> str:
    """Which way is better, in words."""
    if column["better"] == "closer" and column["floor"] is None:
        return "closer to 1 is better"
    return ARROWS[column["better"]]


def cells(column: Dict, subjects: Sequence[Subject]) -> list[tuple[Subject, Dict]]:
    """Who has this measure, and its figures."""
    found = [(s, s.row["metrics"].get(column["name"])) for s in subjects]
    return [(subject, cell) for subject, cell in found if cell is not None]


def places(column: Dict, subjects: Sequence[Subject]) -> int:
    """Digits after the point: as many as the narrowest interval of the column supports."""
    halves = [(c["high"] - c["low"]) / 2 for _, c in cells(column, subjects)]
    return decimals(min((h for h in halves if h > 0), default=0.0), column["floor"] or 1.0)


def conclusion(
    column: Dict, table: Dict, subjects: Sequence[Subject], *, trusted: bool = True
) -> str:
    """One sentence: who is best, or that no difference is shown; and how far from real that is."""
    if not trusted and in_features(column):
        return "No conclusion: these features cannot be trusted on these data."
    known = cells(column, subjects)
    best = [s for s, _ in known if s.row["group"] in table["best"][column["name"]]]
    parts = []
    if len(known) > 1:
        parts.append(_ranking(best, [s for s, _ in known]))
    elif len(subjects) > 1:
        parts.append(f"Only {known[0][0].name} has this measure.")
    parts += _against_floor(column, known)
    parts += _against_trivial(column, known)
    parts += against(column, known)
    return " ".join(parts)


def _ranking(best: list[Subject], known: list[Subject]) -> str:
    if len(best) == 1:
        return f"{best[0].name} is best."
    line = f"No difference shown between {together([s.name for s in best])}"
    worse = [s.name for s in known if s not in best]
    if not worse:
        return line + "."
    return f"{line}; {together(worse)} {'is' if len(worse) == 1 else 'are'} shown to be worse."


def _against_floor(column: Dict, known: list[tuple[Subject, Dict]]) -> list[str]:
    """Who cannot be told from real data by this measure."""
    floor = column["floor"]
    if floor is None:
        return []
    even = [s.name for s, cell in known if _as_good(column, cell, floor)]
    if not even:
        return []
    who = "" if len(known) == 1 else f"{together(even)} {'is' if len(even) == 1 else 'are'} "
    return [f"{who}{'As' if not who else 'as'} good as real data here."]


def _as_good(column: Dict, cell: Dict, floor: float) -> bool:
    if column["better"] == "lower":
        return cell["low"] <= floor
    if column["better"] == "higher":
        return cell["high"] >= floor
    return cell["low"] <= floor <= cell["high"]


def _against_trivial(column: Dict, known: list[tuple[Subject, Dict]]) -> list[str]:
    """Who is not better than knowing nothing."""
    poor = _poor(column, known)
    if not poor:
        return []
    who = "It is" if len(known) == 1 else f"{together(poor)} {'is' if len(poor) == 1 else 'are'}"
    return [f"{who} not shown to be better than the trivial generator."]


def _poor(column: Dict, known: list[tuple[Subject, Dict]]) -> list[str]:
    """The names of those that nothing shows to be better than the trivial generator."""
    trivial = column["trivial"]
    if trivial is None or column["better"] == "closer" or column["name"] == "copies":
        return []
    lower = column["better"] == "lower"
    return [
        s.name
        for s, cell in known
        if (cell["high"] >= trivial if lower else cell["low"] <= trivial)
    ]


def in_features(column: Dict) -> bool:
    """Whether a measure stands and falls with the extractor."""
    return about(column).features


def card(
    column: Dict, table: Dict, subjects: Sequence[Subject], *, trusted: bool
) -> dict[str, Any]:
    """A measure with an interval for each subject on one scale."""
    words, digits = about(column), places(column, subjects)
    known = cells(column, subjects)
    left, right = _scale(column, known)

    def at(value: float) -> float:
        return round(100 * min(max((value - left) / (right - left), 0.0), 1.0), 2)

    rows = [
        {
            **subject.who,
            "value": number(cell["value"], digits, percent=words.percent),
            "tag": cell["tag"],
            "at": at(cell["value"]),
            "left": at(cell["low"]),
            "width": round(at(cell["high"]) - at(cell["low"]), 2),
        }
        for subject, cell in known
    ]
    marks = {
        key: None
        if column[key] is None
        else {
            "text": number(column[key], digits, percent=words.percent),
            "at": at(column[key]) if left <= column[key] <= right else None,
        }
        for key in ("floor", "trivial")
    }
    if marks["trivial"] and marks["trivial"]["at"] is None:
        marks["trivial"]["text"] += ", off the scale"
    return {
        "anchor": anchor(column, table),
        "title": _title(column, words),
        "arrow": arrow(column),
        "plain": words.plain,
        "rows": rows,
        **marks,
        "conclusion": conclusion(column, table, subjects, trusted=trusted),
    }


def _title(column: Dict, words: Measure) -> str:
    name, bracket, form = column["name"].partition(" (")
    return f"{words.title} ({form}" if bracket and name else words.title


def _scale(column: Dict, known: list[tuple[Subject, Dict]]) -> tuple[float, float]:
    """From the least to the greatest figure, with the floor; the trivial one if it is near."""
    values = [v for _, cell in known for v in (cell["low"], cell["high"], cell["value"])]
    if column["floor"] is not None:
        values.append(column["floor"])
    low, high = min(values), max(values)
    trivial = column["trivial"]
    if trivial is not None and max(high, trivial) - min(low, trivial) < REACH * (high - low):
        low, high = min(low, trivial), max(high, trivial)
    margin = 0.08 * (high - low) or 0.5
    return low - margin, high + margin


def row(
    column: Dict, table: Dict, subjects: Sequence[Subject], *, trusted: bool, n: int
) -> dict[str, Any]:
    """A measure as a row of the table, one cell per subject."""
    words, digits = about(column), places(column, subjects)
    best, own = table["best"][column["name"]], not in_features(column)
    several = len(cells(column, subjects)) > 1
    sole = several and len(best) == 1 and (trusted or own)
    found = []
    for subject in subjects:
        cell = subject.row["metrics"].get(column["name"])
        if cell is None:
            found.append(
                {
                    "value": "\u2013",
                    "interval": _why_not(subject, column),
                    "tag": "",
                    "n": None,
                    "best": False,
                    "flag": "",
                }
            )
            continue
        found.append(
            {
                "value": number(cell["value"], digits, percent=words.percent),
                "interval": interval(cell["low"], cell["high"], digits, percent=words.percent),
                "tag": cell["tag"],
                "n": _own_n(subject, column, n),
                "best": sole and subject.row["group"] in best,
                "flag": _flag(subject, best) if several and (trusted or own) else "",
            }
        )
    shown = {
        key: "\u2013" if column[key] is None else number(column[key], digits, percent=words.percent)
        for key in ("floor", "trivial")
    }
    return {
        "title": _title(column, words),
        "anchor": anchor(column, table),
        "arrow": arrow(column),
        "cells": found,
        **shown,
    }


def _flag(subject: Subject, best: Sequence[str]) -> str:
    """What the table says below the value of one that nothing shows to be worse than the best."""
    if subject.row["group"] not in best:
        return ""
    return "best" if len(best) == 1 else "no difference shown"


def _why_not(subject: Subject, column: Dict) -> str:
    name = column["name"].partition(" (")[0]
    return "refused" if any(name in v["refused"] for v in subject.verdicts) else "does not apply"


def _own_n(subject: Subject, column: Dict, n: int) -> int | None:
    """The n of a number where it is another than that of the whole comparison."""
    name = column["name"].partition(" (")[0]
    for verdict in subject.verdicts:
        for estimate in verdict["estimates"]:
            if estimate["name"] == name and estimate["n"] != n:
                return estimate["n"]
    return None


def answer(
    column: Dict, table: Dict, subjects: Sequence[Subject], *, trusted: bool
) -> dict[str, Any]:
    """The short answer to a measure's question, with the figure of the best one."""
    words, digits = about(column), places(column, subjects)
    found: dict[str, Any] = {
        "question": words.question,
        "anchor": anchor(column, table),
        "link": f"{_title(column, words)} in full",
        "names": [],
        "nobody": "",
    }
    if not trusted and in_features(column):
        return found | {"nobody": "Not answered", "text": "The features cannot be trusted."}
    known = cells(column, subjects)
    best = [(s, c) for s, c in known if s.row["group"] in table["best"][column["name"]]]
    figures = [
        f"{number(c['value'], digits, percent=words.percent)} "
        f"({interval(c['low'], c['high'], digits, percent=words.percent)})"
        for _, c in best
    ]
    unit = f" {column['unit']}" if column["unit"] else ""
    poor = _against_trivial(column, known)
    if len(known) > 1 and len(_poor(column, best)) == len(best):
        text = f"{words.title} {figures[0]}{unit} is the nearest, by {best[0][0].name}. "
        return found | {"nobody": "None yet", "text": text + " ".join(poor)}
    if len(best) == len(known) > 1:
        found["nobody"] = "No difference shown"
        return found | {"text": f"{words.title}: all intervals overlap that of the best."}
    text = f"{words.title} {figures[0]}{unit}"
    if len(best) > 1:
        values = [number(c["value"], digits, percent=words.percent) for _, c in best]
        text = f"{words.title} {together(values)}{unit}: no difference shown."
    if best[0][1]["tag"] and len(best) == 1:
        text += f", {best[0][1]['tag']}"
    if len(known) > 1:
        text = " ".join([text.removesuffix(".") + ".", *poor])
    return found | {"names": [s.who for s, _ in best], "text": text}
