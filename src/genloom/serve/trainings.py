"""The runs that jobs train: whose they are, and what they show of themselves while they go on.

A run is the folder `runs/NAME` of the store, where a model's name is its run's; it is its owner's
from before the first step on.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from genloom.progress import Journal
from genloom.serve.store import Folders, Job, NotFound

STATE = "run.json"
SHOWN = ("run.json", "metrics.jsonl", "samples/")  # of a run, while it goes on
LAST = b"IEND\xaeB`\x82"  # bytes of a PNG; without them it is still being written
FORMS = {".png": "image/png", ".txt": "text/plain; charset=utf-8"}


def name_of(model: str) -> str:
    """What the run of a model is called in the store."""
    return f"runs/{model}"


def reserve(folders: Folders, model: str, owner: str) -> bool:
    """Keep a name for an owner; False where it is another's, or a run has begun under it."""
    name = name_of(model)
    if folders.reserve(name, owner):
        return True
    return folders.owner(name) == owner and not folders.holds(name, STATE)


def run_of(folders: Folders, job: Job) -> Path:
    """What the run of a training job shows so far.

    Raises:
        NotFound: The job trains nothing, or the run is not its owner's.
    """
    name = name_of(str(job.body.get("name")))
    if job.kind != "train" or folders.owner(name) != job.owner:
        raise NotFound("run")
    return folders.bring(name, *SHOWN)


def state_of(run: Path) -> dict[str, Any]:
    """What `run.json` says; {} before there is one."""
    try:
        return json.loads((run / STATE).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}


def share_done(run: Path) -> float:
    """How much of a run is done, in [0, 1]."""
    state = state_of(run)
    return float(state.get("step") or 0) / max(1, int(state.get("total") or 1))


def curves(run: Path, points: int) -> dict[str, Any]:
    """A run's figures, at most `points` of each, with its alarms and the time that is left.

    An alarm counts as active until the run's end, when the run says which ones still rang.
    """
    state = state_of(run)
    journal = run / "metrics.jsonl"
    series: dict[str, list[tuple[int, float]]] = {}
    for line in Journal.read(journal) if journal.exists() else ():
        if "alarm" in line:
            continue
        for name, value in line.items():
            if name not in ("step", "seconds") and isinstance(value, int | float):
                series.setdefault(name, []).append((line["step"], value))
    return {
        "series": {name: thinned(curve, points) for name, curve in series.items()},
        "alarms": _alarms(state),
        "step": state.get("step", 0),
        "total": state.get("total"),
        "seconds_left": _seconds_left(state),
    }


def thinned(curve: Sequence[Any], most: int) -> list[Any]:
    """At most `most` of the points, evenly spaced; the first and the last are among them."""
    if len(curve) <= most:
        return list(curve)
    last = len(curve) - 1
    return [curve[round(i * last / (most - 1))] for i in range(most)]


def _alarms(state: dict[str, Any]) -> list[dict[str, Any]]:
    from genloom.health import RULES

    ringing = {RULES[name].name if name in RULES else name for name in state.get("active", ())}
    over = state.get("status") == "done"
    return [
        {
            "name": alarm["alarm"],
            "text": alarm["message"],
            "step": alarm["step"],
            "active": alarm["alarm"] in ringing if over else "retry" not in alarm,
        }
        for alarm in state.get("alarms", ())
    ]


def _seconds_left(state: dict[str, Any]) -> float | None:
    """By the pace so far, or by the forecast before the first step; None where nothing runs."""
    if state.get("status") == "done":
        return 0.0
    step, total, forecast = state.get("step"), state.get("total"), state.get("forecast")
    if state.get("status") != "training" or not total or not forecast:
        return None
    return (total - step) * (state["seconds"] / step if step else forecast["seconds"] / total)


def samples(run: Path) -> list[tuple[int, str]]:
    """(step, media type) of each sheet of samples that the run has written, in their order."""
    found = []
    for path in _sheets(run.glob("samples/step-*")):
        found.append((int(path.stem.removeprefix("step-")), FORMS[path.suffix]))
    return sorted(found)


def sheet(run: Path, step: int) -> tuple[bytes, str]:
    """The sheet of samples of a step, and its media type.

    Raises:
        NotFound: There is none.
    """
    known = range(10**12)  # a longer name may be none that the system can look up
    names = [f"step-{step:08d}{ending}" for ending in FORMS if step in known]
    for path in _sheets(run / "samples" / name for name in names):
        return path.read_bytes(), FORMS[path.suffix]
    raise NotFound("sample")


def _sheets(paths: Iterable[Path]) -> Iterable[Path]:
    """Those that are there as a whole."""
    for path in paths:
        if path.suffix in FORMS and path.is_file():
            with path.open("rb") as file:
                size = file.seek(0, os.SEEK_END)
                file.seek(max(0, size - len(LAST)))
                if path.suffix != ".png" or file.read() == LAST:
                    yield path
