"""Compare families: train each under one budget, judge all alike, write one page.

Every run is a folder of its own below `out`, so a comparison that was killed goes on where it was,
and what is finished is not done again.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from genloom import report, runs
from genloom.checkpoint import write_text
from genloom.errors import (
    BadInput,
    CodebookDied,
    Collapsed,
    DiscriminatorWins,
    Diverged,
    GenloomError,
    Overfitted,
    Plateau,
    PosteriorDied,
    Refused,
)
from genloom.metrics.league import unequal
from genloom.report import markdown
from genloom.report.terminal import table_of

FAMILIES = ("gan", "vae", "flow", "autoregressive")
ALL = ("all",)  # every family that the data suffice for
MINUTES = 5.0  # of training each, where nobody names a budget
FORMAT = 1
FAILURES = (
    Diverged,
    DiscriminatorWins,
    Collapsed,
    PosteriorDied,
    CodebookDied,
    Plateau,
    Overfitted,
)
Say = Callable[[str], None]


@dataclass(frozen=True)
class Comparison:
    """Verdicts side by side.

    Args:
        content: What the page is made from, pictures included.
        page: The page.
    """

    content: dict[str, Any]
    page: Path

    def as_dict(self) -> dict[str, Any]:
        """The numbers of the page as plain JSON data, without its pictures."""
        numbers = {k: v for k, v in self.content.items() if k != "verdicts"}
        numbers["verdicts"] = [_numbers(v) for v in self.content["verdicts"]]
        return {**numbers, "report": str(self.page)}

    def __str__(self) -> str:
        """The table for a terminal, and the path of the page."""
        return f"{table_of(self.content)}\n\npage: {self.page}"


def compare(
    *sources: str | Path,
    data: str | Path | None = None,
    families: Sequence[str] | None = None,
    minutes: float | None = None,
    seeds: int = 1,
    n: int | None = None,
    force: bool = False,
    out: str | Path | None = None,
    data_options: Mapping[str, Any] | None = None,
    train_overrides: Mapping[str, Any] | None = None,
    progress: Say | None = None,
) -> Comparison:
    """Compare finished runs, or train families under one budget and compare them.

    Args:
        sources: Paths or names of finished runs; nothing is trained then.
        data: What to train on: a path, or a built-in data set.
        families: Of the catalog; gan, vae, flow and autoregressive where left out; `ALL` is every
            one that these data alone suffice for.
        minutes: Budget of each training; 5 where neither it nor another budget is given.
        seeds: Trainings of each family, with the seeds 0, 1, ...; claims need at least 3.
        n: Items on each side; see `evaluation.evaluate`.
        force: Go on below the least n.
        out: Folder of the page and the runs; runs/compare-DATA where left out.
        data_options: Other keys of the recipe's [data], such as size=32.
        train_overrides: Other keys of the recipe's [train], such as batch=32, for every family.
        progress: Called with a line before each part of the work; standard error if left out.

    Raises:
        BadInput: What is asked for does not fit, found before any training begins.
        Refused: The verdicts cannot be compared, or there are too few items.
        GenloomError: Every training failed, or the work was interrupted.
    """
    start, say = time.monotonic(), progress or _say
    if bool(sources) == (data is not None):
        raise BadInput("give either finished runs or --data with what to train on, not both.")
    if seeds < 1:
        raise BadInput(f"seeds = {seeds}: at least 1 training is needed.")
    failed: list[dict[str, Any]] = []
    if sources:
        folders = [_finished(source) for source in sources]
        _same_data(folders)
        out = Path(out) if out is not None else Path("runs") / "compare"
    else:
        given = dict(train_overrides or {})
        if not {"steps", "images", "minutes"} & set(given):
            given["minutes"] = MINUTES if minutes is None else float(minutes)
        recipes = _recipes(str(data), families or FAMILIES, data_options or {}, given, say)
        _enough(recipes, n, force)
        out = Path(out) if out is not None else Path("runs") / f"compare-{Path(str(data)).name}"
        folders = _train(recipes, seeds, out, failed, say)
    verdicts, table = _judge(folders, n, force, say)
    content = {
        "format": FORMAT,
        "made": datetime.now(UTC).strftime("%Y-%m-%d"),
        "budget": None if sources else {**given, "seeds": seeds},
        "table": table,
        "verdicts": verdicts,
        "runs": [report.describe_run(folder) for folder in folders],
        "failed": failed,
        "warnings": unequal(verdicts),
        "seconds": round(time.monotonic() - start, 1),
    }
    found = Comparison(content, out / "report.html")
    out.mkdir(parents=True, exist_ok=True)
    write_text(out / "comparison.json", json.dumps(found.as_dict(), indent=1, allow_nan=False))
    write_text(found.page, report.render(content))
    markdown.write(content, out / "table")
    return found


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def _finished(source: str | Path) -> Path:
    """The folder of a run that has a model, or of a model that came without its run."""
    from genloom.artifact import find

    if not isinstance(source, str | Path):
        raise BadInput(f"{source!r} is no path: name each run, compare('runs/a', 'runs/b').")
    return runs.home(find(source))


def _same_data(folders: Sequence[Path]) -> None:
    """Raises Refused where models of different data are named, before one of them is judged."""
    from genloom.artifact import CARD, find
    from genloom.artifact_folder import read_card

    known: dict[str, Path] = {}
    for folder in folders:
        model = find(folder)
        card = read_card(model) if (model / CARD).is_file() else {}
        if data := card.get("data", {}).get("fingerprint"):
            known.setdefault(data, folder)
    if len(known) > 1:
        one, other, *_ = known.values()
        raise Refused(f"{one} and {other} were trained on other data: compare runs of the same.")


def _recipes(
    data: str,
    families: Sequence[str],
    data_options: Mapping[str, Any],
    train: Mapping[str, Any],
    say: Say,
) -> dict[str, dict[str, Any]]:
    """A recipe for each family, all of them tried before the first one is trained."""
    from genloom import catalog
    from genloom.recipe import resolve

    recipes: dict[str, dict[str, Any]] = {}
    every = tuple(families) == ALL
    for family in catalog.names("model") if every else families:
        if family in recipes:
            raise BadInput(f"{family!r} is named twice: give each family once.")
        recipes[family] = {
            "data": {"source": data, **data_options},
            "model": {"use": family},
            "train": dict(train),
        }
    error: BadInput | None = None
    for family, recipe in list(recipes.items()):
        try:
            resolve(recipe)
        except BadInput as refusal:
            if not every:
                raise
            error = refusal
            say(f"{family} is left out: {refusal}")
            del recipes[family]
    if error is not None and not recipes:
        raise error
    return recipes


def _enough(recipes: Mapping[str, dict[str, Any]], n: int | None, force: bool) -> None:
    """Raises Refused where the data hold out too few items to judge by; all recipes share them."""
    from genloom.evaluation import enough
    from genloom.recipe import open_data

    data = dict(next(iter(recipes.values()))["data"])
    enough(n, open_data(data.pop("source"), **data).held_out, force)


def _train(
    recipes: Mapping[str, dict[str, Any]],
    seeds: int,
    out: Path,
    failed: list[dict[str, Any]],
    say: Say,
) -> list[Path]:
    """Train each family with each seed; the folders of those that did not fail.

    A failure with a name, such as divergence, is written down and the rest goes on: it is a result.
    """
    folders: list[Path] = []
    error: GenloomError | None = None
    total = seeds * len(recipes)
    for seed in range(seeds):
        for family, recipe in recipes.items():
            number = seed * len(recipes) + list(recipes).index(family) + 1
            say(f"[{number}/{total}] {family}, seed {seed}: training")
            folder = out / f"{family}-seed{seed}"
            seeded = {**recipe, "train": {**recipe["train"], "seed": seed}}
            try:
                folders.append(runs.start(seeded, out=folder))
            except FAILURES as failure:
                error = failure
                note = {"family": family, "seed": seed, "kind": type(failure).__name__}
                failed.append({**note, "message": str(failure)})
                say(f"{family}, seed {seed}, failed: {failure}")
    if error is not None and not folders:
        raise error
    families = list(recipes)
    return sorted(folders, key=lambda f: families.index(f.name.rpartition("-seed")[0]))


def _judge(
    folders: Sequence[Path], n: int | None, force: bool, say: Say
) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """A verdict for each run and their table; verdicts that are there already are used again.

    Where old verdicts do not go together with the others, every run is judged afresh, once.
    """
    from genloom.evaluation import compare_verdicts

    stored = [_stored(folder, n) for folder in folders]
    verdicts = [old or _fresh(f, n, force, say) for f, old in zip(folders, stored)]
    try:
        return verdicts, compare_verdicts(verdicts)
    except Refused:
        if not any(stored):
            raise
    verdicts = [_fresh(folder, n, force, say) for folder in folders]
    return verdicts, compare_verdicts(verdicts)


def _fresh(folder: Path, n: int | None, force: bool, say: Say) -> dict[str, Any]:
    say(f"{folder.name}: judging")
    verdict, _ = runs.judge(folder, n=n, force=force, progress=lambda line: say(f"  {line}"))
    return json.loads(json.dumps(verdict.as_dict()))


def _stored(folder: Path, n: int | None) -> dict[str, Any] | None:
    """The verdict in a run folder, if it is of these very weights and of this n."""
    path, card = folder / "verdict.json", folder / "model" / "card.json"
    if not (path.is_file() and card.is_file()):
        return None
    verdict = json.loads(path.read_text(encoding="utf-8"))
    weights = json.loads(card.read_text(encoding="utf-8"))["files"]["weights.safetensors"]
    same = verdict.get("model") == weights and (n is None or verdict.get("n") == n)
    return verdict if same else None


def _numbers(verdict: Mapping[str, Any]) -> dict[str, Any]:
    """A verdict without its pictures."""
    copies = dict(verdict["copies"])
    hidden = ("generated_item", "train_item")
    copies["pairs"] = [
        {k: v for k, v in pair.items() if k not in hidden} for pair in copies.get("pairs", ())
    ]
    kept = {k: v for k, v in verdict.items() if k != "pictures"}
    return {**kept, "copies": copies}
