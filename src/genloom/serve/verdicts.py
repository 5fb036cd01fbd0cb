"""What judging leaves behind: close pairs to look at, in a folder for each job."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from genloom import runs
from genloom.checkpoint import write_text
from genloom.serve.known import Known
from genloom.serve.store import Folders, NotFound

PAIRS, VERDICT = "pairs.json", "verdict.json"
SHOWN = ("generated_item", "train_item")  # of a pair, in a verdict


def name_of(job_id: str) -> str:
    """What the folder of a job's verdict is called in the store."""
    return f"verdicts/{job_id}"


def keep_pairs(out: Path, known: Sequence[Known], report: Mapping[str, Any]) -> None:
    """Write the close pairs of all judged models beside the report, and the compared verdicts.

    Args:
        out: The job's folder.
        known: The judged models; the verdict on a single one lies in `out`.
        report: As `genloom evaluate` or `genloom compare` printed it.
    """
    compared = "verdicts" in report
    found = []
    for one in known:
        path = (runs.home(one.folder) if compared else out) / VERDICT
        text = path.read_text(encoding="utf-8")
        if compared:
            (out / one.name).mkdir(parents=True, exist_ok=True)
            write_text(out / one.name / VERDICT, text)
        verdict = json.loads(text)
        found += [_shown(pair, one.name) for pair in verdict["copies"].get("pairs", ())]
    write_text(out / PAIRS, json.dumps(found))


def _shown(pair: Mapping[str, Any], model: str) -> dict[str, Any]:
    """Pictures as base64, other items as they are."""
    told = {"model": model, **{key: pair[key] for key in ("distance", "score", "space")}}
    for name, key in zip(("generated", "training"), SHOWN, strict=True):
        item = pair[key]
        picture = isinstance(item, str) and item.startswith("data:image/png;base64,")
        told |= {f"{name}_b64": item.partition(",")[2]} if picture else {name: item}
    return told


def pairs(folders: Folders, job_id: str) -> list[dict[str, Any]]:
    """The close pairs that a job found; none for one that kept none."""
    try:
        out = folders.bring(name_of(job_id), PAIRS)
        return json.loads((out / PAIRS).read_text(encoding="utf-8"))
    except (FileNotFoundError, NotFound):
        return []


def plain(report: Mapping[str, Any]) -> dict[str, Any]:
    """A report as its owner reads it: without paths, and without the pictures of its pairs."""
    told = {key: value for key, value in report.items() if key != "report"}
    if "pairs" in told.get("copies", {}):
        kept = [{k: v for k, v in p.items() if k not in SHOWN} for p in told["copies"]["pairs"]]
        told["copies"] = {**told["copies"], "pairs": kept}
    return told
