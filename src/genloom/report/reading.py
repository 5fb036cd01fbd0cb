"""What a page is about: verdicts, their common table, and what is known of each run."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from genloom.errors import BadInput
from genloom.health import HEALTH

Dict = Mapping[str, Any]
HIDDEN = ("seconds", "items_per_s")  # figures of a journal that are no losses
PNG, WAV = "iVBORw0KGgo", "UklGR"  # how every such file begins, in base 64
MOST_LINES = 400  # of a journal that a page keeps


@dataclass(frozen=True)
class Subject:
    """One row of the comparison: the runs of one recipe, over its seeds.

    Args:
        name: What the page calls it; unique on the page.
        color: Index of its colour.
        row: Of the table.
        verdicts: One per seed.
        runs: What `describe_run` found, one per verdict; {} where there is no folder.
    """

    name: str
    color: int
    row: Dict
    verdicts: list[Dict]
    runs: list[Dict]

    @property
    def who(self) -> dict[str, Any]:
        """Name and colour, as the template wants them."""
        return {"name": self.name, "color": self.color}


def comparison_of(content: Dict) -> Dict:
    """A comparison as it is; a single verdict as a comparison of one.

    Raises:
        BadInput: It is neither.
    """
    from genloom.metrics.league import compare_verdicts

    if "table" in content and "verdicts" in content:
        return content
    if "estimates" in content and "conditions" in content:
        return {"verdicts": [content], "table": compare_verdicts([content]), "runs": []}
    raise BadInput("this is neither a verdict nor a comparison: it has no estimates and no table.")


def subjects(content: Dict) -> list[Subject]:
    """The rows of a comparison with their verdicts and runs."""
    rows = content["table"]["rows"]
    known = {run["run"]: run for run in content.get("runs", ())}
    names = [row["name"] for row in rows]
    found = []
    for i, row in enumerate(rows):
        verdicts = [v for v in content["verdicts"] if v["group"] == row["group"]]
        unique = names.count(row["name"]) == 1
        name = row["name"] if unique else " + ".join(row["runs"])
        runs = [known.get(v["run"], {}) for v in verdicts]
        found.append(Subject(str(name), i % 8, row, verdicts, runs))
    return found


def describe_run(folder: Path) -> dict[str, Any]:
    """What a run folder tells beside its verdict: curves, environment, recipe, how training went.

    Args:
        folder: The run; files that are not there are left out.
    """
    state = _json(folder / "run.json")
    recipe = folder / "recipe.toml"
    return {
        "run": folder.name,
        "commit": commit(),
        "curves": curves(folder / "metrics.jsonl"),
        "vitals": vitals(folder / "metrics.jsonl"),
        "environment": _json(folder / "env.json"),
        "recipe_toml": recipe.read_text(encoding="utf-8") if recipe.is_file() else "",
        "status": state.get("status"),
        "steps": state.get("step"),
        "seconds": state.get("seconds"),
        "precision": state.get("precision"),
        "private": state.get("private"),
        "batch": state.get("options", {}).get("batch"),
        "alarms": [
            {k: alarm.get(k) for k in ("step", "alarm", "message")}
            for alarm in state.get("alarms", ())
        ],
    }


def commit() -> str | None:
    """The commit of the checkout that this code runs from; None where it was installed."""
    git = Path(__file__).parents[3] / ".git"
    head = git / "HEAD"
    if not head.is_file():
        return None
    text = head.read_text(encoding="utf-8").strip()
    if not text.startswith("ref: "):
        return text
    name = text.removeprefix("ref: ")
    if (git / name).is_file():
        return (git / name).read_text(encoding="utf-8").strip()
    packed = git / "packed-refs"
    lines = packed.read_text(encoding="utf-8").splitlines() if packed.is_file() else []
    return next((line.split()[0] for line in lines if line.endswith(f" {name}")), None)


def _json(path: Path) -> dict[str, Any]:
    if not path.is_file():
        return {}
    found = json.loads(path.read_text(encoding="utf-8"))
    return found if isinstance(found, dict) else {}


def curves(path: Path) -> list[dict[str, Any]]:
    """The losses of a journal over time: name and points [seconds, value]."""
    return [curve for curve in journal(path) if not is_vital(curve["name"])]


def vitals(path: Path) -> list[dict[str, Any]]:
    """The gradient norms of a journal, and the figures of health; as `curves`."""
    return [curve for curve in journal(path) if is_vital(curve["name"])]


def is_vital(name: str) -> bool:
    """Whether a figure of a journal tells of health rather than of loss."""
    return name.startswith(HEALTH) or name.endswith("grad_norm")


def journal(path: Path) -> list[dict[str, Any]]:
    """All that a journal follows over time.

    A line without its own time takes that of the line before.
    """
    if not path.is_file():
        return []
    found: dict[str, list[list[float]]] = {}
    seconds = 0.0
    for text in path.read_text(encoding="utf-8").splitlines():
        try:
            line = json.loads(text)
        except ValueError:
            break  # a kill cut the last line short
        seconds = line.get("seconds", seconds)
        if "alarm" in line:
            continue
        for name, value in line.items():
            number = isinstance(value, int | float) and not isinstance(value, bool)
            if number and name not in (*HIDDEN, "step"):
                found.setdefault(name, []).append([round(seconds, 3), float(value)])
    return [
        {"name": name, "points": points[:: -(-len(points) // MOST_LINES)]}
        for name, points in found.items()
    ]


def recipe_text(verdict: Dict, run: Dict) -> str:
    """The recipe as TOML: the run's own file, or the one that the verdict carries."""
    from genloom import toml

    if run.get("recipe_toml"):
        return run["recipe_toml"]
    recipe = verdict.get("recipe") or {}
    return toml.dumps(recipe) if recipe else ""


def is_picture(uri: Any) -> bool:
    """Whether an address is pixels inside the page and nothing else."""
    return _is_inside(uri, "data:image/png;base64,", PNG)


def is_sound(uri: Any) -> bool:
    """Whether an address is a sound inside the page and nothing else."""
    return _is_inside(uri, "data:audio/wav;base64,", WAV)


def _is_inside(uri: Any, head: str, start: str) -> bool:
    text = str(uri)
    body = text.removeprefix(head)
    return (
        body.startswith(start)
        and text != body
        and all(c.isascii() and (c.isalnum() or c in "+/=") for c in body)
    )
