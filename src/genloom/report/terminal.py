"""A comparison as text for a terminal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from genloom.report import markdown
from genloom.report.baselines import told
from genloom.report.measures import in_features
from genloom.report.numbers import decimals

FOOT = "half of a 95 % interval follows each figure; *...* is what nothing is shown to beat"
WIDE = 8  # rows of a comparison that still stand side by side


def table_of(content: Mapping[str, Any]) -> str:
    """The table of a comparison: measures down, its rows across; * marks what nothing beats.

    Of many rows it shows the measures of the summary alone, and the rows stand one below the other.
    """
    if len(content["table"]["rows"]) > WIDE:
        lines = [[cell.replace("**", "*") for cell in line] for line in markdown.table(content)]
        forms = [f"[{i}] {form}" for i, form in enumerate(markdown.forms(content), 1)]
        text = [*_aligned(lines), FOOT, *forms]
        return "\n".join([*text, *(f"note: {line}" for line in _notes(content))])
    table, verdicts = content["table"], content["verdicts"]
    rows = table["rows"]
    trusted = all(v["extractor"]["trusted"] for v in verdicts)
    lines = [["", *(row["name"] for row in rows), "real/real", "trivial"]]
    forms: list[str] = []
    for column in table["columns"]:
        name, bracket, form = column["name"].partition(" (")
        if bracket:  # of a likelihood; it is long, so it goes below the table
            forms.append(f"[{len(forms) + 1}] {form.removesuffix(')')}")
            name = f"{name} [{len(forms)}]"
        known = [row["metrics"].get(column["name"]) for row in rows]
        ranked = sum(k is not None for k in known) > 1 and (trusted or not in_features(column))
        best = [ranked and row["group"] in table["best"][column["name"]] for row in rows]
        cells = [f"{_cell(k)}{'*' if b else ' '}" for k, b in zip(known, best)]
        lines.append([name, *cells, _number(column["floor"]), _number(column["trivial"])])
    passed = ["pass " if row["passed"] else "FAIL " for row in rows]
    text = _aligned([*lines, ["verdict", *passed, "", ""]])
    text += ["+- is half of a 95 % interval", *forms]
    text += [f"{c['name']} of others: {', '.join(b)}" for c in table["columns"] if (b := told(c))]
    if len(rows) > 1:
        text.append("* the best, and all that are not shown to be worse")
    return "\n".join([*text, *(f"note: {line}" for line in _notes(content))])


def _aligned(lines: Sequence[Sequence[str]]) -> list[str]:
    """Cells as columns: the first to the left, the others to the right."""
    widths = [max(map(len, cells)) for cells in zip(*lines)]
    return [
        "  ".join([line[0].ljust(widths[0]), *map(str.rjust, line[1:], widths[1:])]).rstrip()
        for line in lines
    ]


def _notes(content: Mapping[str, Any]) -> list[str]:
    failed = [f"{f['family']}, seed {f['seed']}, failed: {f['message']}" for f in content["failed"]]
    told = [line for v in content["verdicts"] for line in (*v["failures"], *v["warnings"])]
    return list(
        dict.fromkeys([*failed, *content["table"]["warnings"], *content["warnings"], *told])
    )


def _cell(figures: Mapping[str, Any] | None) -> str:
    if figures is None:
        return "-"
    half = (figures["high"] - figures["low"]) / 2
    places = decimals(half, figures["value"])
    return f"{figures['value']:.{places}f}+-{half:.{places}f}"


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.3g}"
