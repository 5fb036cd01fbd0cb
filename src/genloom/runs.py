"""Run folders: begin one, go on with one, list them.

`runs/NAME/` holds recipe.toml (as resolved), data.json, env.json, run.json, metrics.jsonl,
checkpoints/, samples/, model/ (the artifact), verdict.json and report.html.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from genloom.errors import BadInput, nearest

if TYPE_CHECKING:
    from genloom.artifact import Artifact
    from genloom.evaluation import Verdict
    from genloom.recipe import Plan, Settings

FOLDER = Path("runs")
FORM = {  # what every `run.json` holds
    "status": str,
    "step": int,
    "recipe": dict,
    "data": dict,
    "forecast": dict | None,
    "alarms": list,
}


def train(
    recipe: Mapping[str, Any] | str | Path | None = None,
    *,
    data: str | Path | None = None,
    model: str | None = None,
    out: str | Path | None = None,
    settings: Settings = (),
    resume: Literal["auto", "never"] = "auto",
    allow_code: bool = False,
    quiet: bool = False,
    **options: Any,
) -> Artifact:
    """Train a model and load it.

    Args:
        recipe: A recipe, or the path of one; left out, `data` and `model` are enough.
        data: A path, or the name of a built-in data set; replaces data.source.
        model: A family of the catalog; replaces the recipe's model.
        out: The run folder; left out, runs/DATA-MODEL.
        settings: "table.key=value", one or some, or tables; applied last but for `options`.
        resume: "auto" goes on with a run of the same recipe; "never" refuses its folder.
        allow_code: Accept "module:Name" in the recipe.
        quiet: No progress line.
        options: Train options, such as minutes=5 or seed=1.

    Raises:
        GenloomError: A named failure, with one line to say.
    """
    from genloom.artifact import load

    given = {"data": data, "model": model, "settings": settings, "options": options}
    full = compose(recipe, allow_code=allow_code, **given)
    folder = start(full, out=out, resume=resume, allow_code=allow_code, quiet=quiet)
    return load(folder, allow_code=allow_code)


def compose(
    recipe: Mapping[str, Any] | str | Path | None,
    *,
    data: str | Path | None = None,
    model: str | None = None,
    settings: Settings = (),
    options: Mapping[str, Any] | None = None,
    allow_code: bool = False,
) -> dict[str, Any]:
    """One recipe out of a file or a dict and what is said beside it.

    Args:
        recipe: See `train`.
        data: See `train`.
        model: See `train`.
        settings: See `train`.
        options: Of the table [train].
        allow_code: "module:Name" is found beside the file too.

    Raises:
        BadInput: No data or no model is named.
    """
    from genloom import catalog
    from genloom.recipe import BUDGETS, load_recipe, override, sections

    if isinstance(recipe, str | Path):
        if allow_code:
            catalog.look_in(Path(recipe).parent)
        recipe = load_recipe(recipe)
    full = {name: table for name, table in sections(recipe or {}).items() if table}
    if data is not None:
        full["data"] = {**full.get("data", {}), "source": str(data)}
    if model is not None and model != full.get("model", {}).get("use"):
        full["model"] = {"use": model}
        full.pop("codec", None)
    given = {k: v for k, v in (options or {}).items() if v is not None}
    if any(name in BUDGETS for name in given):
        full["train"] = {k: v for k, v in full.get("train", {}).items() if k not in BUDGETS}
    if given:
        full["train"] = {**full.get("train", {}), **given}
    full = override(full, settings)
    if "source" not in full.get("data", {}):
        raise BadInput(
            "no data: give --data PATH (or digits, glyphs, factors, moons, rings, gaussians)."
        )
    if "use" not in full.get("model", {}):
        raise BadInput("no model: give --model NAME. `genloom train --list` names them all.")
    return full


def start(
    recipe: Mapping[str, Any],
    *,
    out: str | Path | None = None,
    resume: Literal["auto", "never"] = "auto",
    allow_code: bool = False,
    quiet: bool = False,
) -> Path:
    """Resolve a recipe and train it in a run folder; gives the folder."""
    from genloom.recipe import resolve
    from genloom.trainer import train as train_plan

    if out is None and int(os.environ.get("WORLD_SIZE", "1")) > 1:
        raise BadInput("several processes need one folder: give --out.")
    plan = resolve(recipe, allow_code=allow_code)
    folder = Path(out) if out is not None else _free(plan, resume)
    return train_plan(plan, folder, resume=resume, quiet=quiet)


def first_process() -> bool:
    """Whether this is the process that writes and speaks, of those that torchrun started."""
    return os.environ.get("RANK", "0") == "0"


def resume(run: str | Path, *, allow_code: bool = False, quiet: bool = False) -> Path:
    """Go on with a run where it stopped, by its own recipe; gives the folder."""
    from genloom.recipe import load_recipe

    folder = find(run)
    return start(
        load_recipe(folder / "recipe.toml"), out=folder, allow_code=allow_code, quiet=quiet
    )


def home(model: Path) -> Path:
    """Where the verdict on a model lies: in its run, or beside its weights if it came without."""
    return model.parent if (model.parent / "run.json").is_file() else model


def judge(
    source: Artifact | str | Path,
    *,
    n: int | None = None,
    seed: int = 0,
    extractor: str | Path | None = None,
    force: bool = False,
    out: str | Path | None = None,
    progress: Callable[[str], None] | None = None,
    **sample_options: Any,
) -> tuple[Verdict, Path]:
    """Evaluate a model; write verdict.json, report.html and the measures in its card.

    Args:
        source: A run, its name, or an artifact, loaded or not.
        n: See `evaluation.evaluate`.
        seed: Of the samples.
        extractor: Inception weights as safetensors.
        force: Go on below the least n.
        out: Folder of the files, beside which run and card stay as they are; left out, the run's.
        progress: Called with a line before each part of the work.
        sample_options: Those of the family.
    """
    from genloom.artifact import Artifact, load, note_metrics
    from genloom.checkpoint import write_text
    from genloom.evaluation import compare_verdicts, evaluate
    from genloom.report import describe_run, render

    artifact = source if isinstance(source, Artifact) else load(source)
    verdict = evaluate(
        artifact,
        n=n,
        seed=seed,
        extractor=extractor,
        force=force,
        progress=progress,
        **sample_options,
    )
    run = artifact.path.parent
    known = (run / "run.json").is_file()
    folder = Path(out) if out else home(artifact.path)
    folder.mkdir(parents=True, exist_ok=True)
    content = verdict.as_dict()
    page = {
        "verdicts": [content],
        "table": compare_verdicts([content]),
        "runs": [describe_run(run)] if known else [],
    }
    write_text(folder / "verdict.json", json.dumps(content, indent=1, allow_nan=False) + "\n")
    write_text(folder / "report.html", render(page))
    if out is None:
        note_metrics(artifact, {e.name: e.as_dict() for e in verdict.estimates})
    return verdict, folder


def find(run: str | Path) -> Path:
    """The folder of a run, by path or by name under ./runs.

    Raises:
        BadInput: There is none.
    """
    for folder in (Path(run), FOLDER / run):
        if (folder / "run.json").is_file():
            return folder
    hint = nearest(str(run), [entry["name"] for entry in table()])
    raise BadInput(f"there is no run {str(run)!r}{hint}")


def state(run: Path) -> dict[str, Any]:
    """What the `run.json` of a folder holds; nothing where there is none.

    Raises:
        BadInput: It is damaged. It may be of a run that began, so nothing takes its place.
    """
    path = run / "run.json"
    if not path.exists():
        return {}
    try:
        told = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        told = None
    if not isinstance(told, dict) or not all(isinstance(told.get(k), v) for k, v in FORM.items()):
        raise BadInput(
            f"{path} is damaged, and its run may have begun. Put it back, or choose another --out."
        )
    return told


def table(folder: str | Path = FOLDER) -> list[dict[str, Any]]:
    """The runs below a folder, the newest first: name, path, status, step, total, seconds ..."""
    found: list[dict[str, Any]] = []
    paths = sorted(Path(folder).glob("**/run.json"), key=lambda p: -p.stat().st_mtime)
    for path in paths:
        told = _state(path.parent)
        found.append(
            {
                "name": str(path.parent.relative_to(folder)),
                "path": str(path.parent),
                "status": told.get("status", "unreadable"),
                "step": told.get("step"),
                "total": told.get("total"),
                "seconds": told.get("seconds"),
                "alarms": [a.get("alarm") for a in told.get("alarms", ())],
                "data": told.get("data", {}).get("name"),
                "model": told.get("recipe", {}).get("model", {}).get("use"),
                "judged": (path.parent / "verdict.json").exists(),
            }
        )
    return found


def _free(plan: Plan, resume: str) -> Path:
    """runs/DATA-MODEL: the unfinished run of this very recipe, or the first name that is free.

    So is that of a run which ended before it began.
    """
    from genloom.record import begun

    number = 1
    while True:
        folder = FOLDER / (plan.name if number == 1 else f"{plan.name}-{number}")
        if not folder.exists():
            return folder
        known = _state(folder)
        if known.get("status") == "stopped" and not begun(known):
            return folder
        if resume == "auto" and known.get("status") != "done" and _same(known, plan):
            return folder
        number += 1


def _state(folder: Path) -> dict[str, Any]:
    """As `state`, but a damaged one holds nothing."""
    try:
        return state(folder)
    except BadInput:
        return {}


def _same(known: Mapping[str, Any], plan: Plan) -> bool:
    recipe = json.loads(json.dumps(plan.recipe))
    data = known.get("data", {}).get("fingerprint")
    return known.get("recipe") == recipe and data == plan.dataset.fingerprint
