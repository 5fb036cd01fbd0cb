"""Verdicts side by side: only under equal conditions, seeds together, ties called ties."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from itertools import combinations
from typing import Any

from genloom.errors import Refused
from genloom.metrics.estimate import t_quantile

Dict = Mapping[str, Any]
UNEQUAL = 1.2  # times the training time of another run, from which on it is warned of


def compare_verdicts(verdicts: Sequence[Dict]) -> dict[str, Any]:
    """One table of verdicts as `Verdict.as_dict` gives them.

    Verdicts of the same recipe with other training seeds are one row: the mean, and an interval
    that holds the spread over seeds and that of each measurement.

    Returns:
        `conditions`; `columns` with name, better, unit, floor, trivial, id; `rows` with name,
        group, runs, seeds, passed and `metrics`: name -> value, low, high, values, tag; `best`:
        metric -> rows that nothing shows to be worse than the best; `differences`: metric, a, b,
        and which is better, or "no difference shown"; `warnings`.

    Raises:
        Refused: Nothing to compare, or the data, split, n, extractor or judge differ.
    """
    if not verdicts:
        raise Refused("there is no verdict to compare.")
    _equal(verdicts)
    groups: dict[str, list[Dict]] = {}
    for verdict in verdicts:
        groups.setdefault(verdict["group"], []).append(verdict)
    columns = _columns(verdicts)
    rows = [_row(name, group, columns) for name, group in groups.items()]
    found = [d for column in columns for d in _differences(rows, column)]
    return {
        "conditions": dict(verdicts[0]["conditions"]),
        "columns": columns,
        "rows": rows,
        "best": {column["name"]: _best(rows, column) for column in columns},
        "differences": found,
        "warnings": _warnings(rows),
    }


def unequal(verdicts: Sequence[Dict]) -> list[str]:
    """A warning where some had more time to train than others."""
    seconds = {v["run"]: v.get("training", {}).get("seconds") or 0.0 for v in verdicts}
    known = {run: value for run, value in seconds.items() if value}
    if not known:
        return []
    least, most = min(known, key=lambda r: known[r]), max(known, key=lambda r: known[r])
    if known[most] < UNEQUAL * known[least]:
        return []
    return [
        f"the budgets differ: {most} was trained for {known[most]:.0f} s, {least} for "
        f"{known[least]:.0f} s"
    ]


def _equal(verdicts: Sequence[Dict]) -> None:
    first = verdicts[0]["conditions"]
    for verdict in verdicts[1:]:
        for key, value in first.items():
            other = verdict["conditions"].get(key)
            if other != value:
                raise Refused(
                    f"these verdicts cannot be compared: {key} is {value} for "
                    f"{verdicts[0]['run']} and {other} for {verdict['run']}. Evaluate both again "
                    "under the same conditions."
                )


def _columns(verdicts: Sequence[Dict]) -> list[dict[str, Any]]:
    """Every metric in the order of its first appearance; likelihoods of unequal form are apart."""
    columns: dict[tuple[str, str], dict[str, Any]] = {}
    for verdict in verdicts:
        for e in verdict["estimates"]:
            key = _key(e)
            kept = ("name", "better", "unit", "floor", "floor_n", "trivial")
            own = {"id": key[1], "baselines": e.get("baselines", {})}
            columns.setdefault(key, {k: e[k] for k in kept} | own)
    names = [name for name, _ in columns]
    for (name, form), column in columns.items():
        if names.count(name) > 1:
            column["name"] = f"{name} ({form})"
        column["key"] = [name, form]
    return list(columns.values())


def _key(estimate: Dict) -> tuple[str, str]:
    """What must be equal for two numbers to share a column: not the tag of a likelihood."""
    if estimate["tag"]:
        return estimate["name"], estimate["id"].partition("; ")[2]
    return estimate["name"], "" if estimate["name"] == "copies" else estimate["id"]


def _row(group: str, verdicts: Sequence[Dict], columns: Sequence[Dict]) -> dict[str, Any]:
    metrics = {}
    for column in columns:
        found = [e for v in verdicts for e in v["estimates"] if list(_key(e)) == column["key"]]
        if found:
            metrics[column["name"]] = _over_seeds(found)
    return {
        "name": verdicts[0]["name"],
        "group": group,
        "runs": [v["run"] for v in verdicts],
        "seeds": [v["train_seed"] for v in verdicts],
        "passed": all(v["passed"] for v in verdicts),
        "metrics": metrics,
    }


def _over_seeds(found: Sequence[Dict]) -> dict[str, Any]:
    """Mean over seeds; the half width joins the spread over seeds and that within a verdict."""
    values = [e["value"] for e in found]
    k = len(values)
    mean = math.fsum(values) / k
    if k == 1:
        low, high = found[0]["low"], found[0]["high"]
    else:
        variance = math.fsum((v - mean) ** 2 for v in values) / (k - 1)
        between = t_quantile(k - 1) * math.sqrt(variance / k)
        within = math.sqrt(math.fsum(((e["high"] - e["low"]) / 2) ** 2 for e in found)) / k
        half = max(between, within)
        low, high = mean - half, mean + half
    tags = {e["tag"] for e in found}
    return {
        "value": mean, "low": low, "high": high, "values": values, "tag": "/".join(sorted(tags)),
    }  # fmt: skip


def _differences(rows: Sequence[Dict], column: Dict) -> list[dict[str, Any]]:
    name = column["name"]
    return [
        {"metric": name, "a": a["group"], "b": b["group"], "better": _better(a, b, column)}
        for a, b in combinations([row for row in rows if name in row["metrics"]], 2)
    ]


def _better(a: Dict, b: Dict, column: Dict) -> str:
    """The group that is better, or "no difference shown" where the intervals overlap."""
    one, two = (row["metrics"][column["name"]] for row in (a, b))
    if one["low"] <= two["high"] and two["low"] <= one["high"]:
        return "no difference shown"
    return (
        a["group"]
        if _badness(one["value"], column) < _badness(two["value"], column)
        else b["group"]
    )


def _badness(value: float, column: Dict) -> float:
    if column["better"] == "closer":
        floor = column["floor"]
        return abs(value - (1.0 if floor is None else floor))
    return value if column["better"] == "lower" else -value


def _best(rows: Sequence[Dict], column: Dict) -> list[str]:
    """The best mean, and all rows that are not shown to be worse."""
    name = column["name"]
    known = [row for row in rows if name in row["metrics"]]
    first = min(known, key=lambda row: _badness(row["metrics"][name]["value"], column))
    return [
        row["group"]
        for row in known
        if row is first or _better(first, row, column) == "no difference shown"
    ]


def _warnings(rows: Sequence[Dict]) -> list[str]:
    fewest = min(len(row["seeds"]) for row in rows)
    if fewest < 3:
        return [
            f"{fewest} training seed{'s' if fewest > 1 else ''}: intervals hold little or nothing "
            "of the luck of training; 3 seeds are the least for a claim"
        ]
    return []
