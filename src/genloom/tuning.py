"""Search for good options of a recipe: many short trainings, judged on the validation part alone.

Each trial is an ordinary run in OUT/trial-NN, and what the next one tries is a function of the
search's seed, its number and the results before it. So a search that was killed goes on where it
was and finds the same. The tree-structured Parzen estimator (Bergstra et al., 2011) is Optuna's.
The test part is never opened: judge the winner with `genloom evaluate`, for the best of many
validation values is itself a little too good.
"""

from __future__ import annotations

import json
import math
import os
import sys
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING, Any

from genloom import recipe as recipes
from genloom import runs
from genloom.artifact import load
from genloom.artifact_folder import note_search
from genloom.checkpoint import write_text
from genloom.comparison import FAILURES
from genloom.errors import BadInput, GenloomError, need
from genloom.held_out import MEASURES, Measure, choose, words
from genloom.record import locked
from genloom.search_space import Parameter, Range, parse, value_of
from genloom.trials import Trial, Tuning, privacy
from genloom.tuning_page import page

if TYPE_CHECKING:
    from genloom.recipe import Plan

Say = Callable[[str], None]
ASKED = 100  # times for something new, before the next untried combination in order is taken


def tune(
    recipe: Mapping[str, Any],
    *,
    search: Iterable[str],
    trials: int = 20,
    out: str | Path | None = None,
    measure: Measure | None = None,
    seed: int = 0,
    allow_code: bool = False,
    quiet: bool = False,
    progress: Say | None = None,
) -> Tuning:
    """Try options of a recipe; the first trial is the recipe as it is, where the search holds it.

    Args:
        recipe: With data, model and the budget of one trial; see `runs.compose`.
        search: "KEY=LOW..HIGH" or "KEY=A,B,C"; see `search_space`.
        trials: How many trainings in all, those of an earlier, killed call included; fewer where
            nothing else is left to try.
        out: Folder of the search; runs/tune-DATA-MODEL where left out.
        measure: "loss", the held-out loss, or "kid", the kernel distance of samples to held-out
            items. Left out: the loss where the family has one player and the search leaves the
            objective alone (keys of train, data and model.net), the distance otherwise.
        seed: Of the search.
        allow_code: As for `recipe.resolve`.
        quiet: No progress line of the trainings.
        progress: Called with a line for each trial; standard error if left out.

    Raises:
        BadInput: What is asked for does not fit, found before any training begins.
        MissingExtra: Optuna is not installed.
        GenloomError: Every trial failed, or the work was interrupted.
    """
    _optuna()
    if int(os.environ.get("WORLD_SIZE", "1")) > 1:
        raise BadInput("a search is one process: start it without torchrun.")
    if trials < 1:
        raise BadInput(f"trials = {trials}: at least 1 is needed.")
    plan = recipes.resolve(recipe, allow_code=allow_code)
    space = parse(search, plan.recipe, allow_code=allow_code)
    chosen = choose(measure, plan, [parameter.key for parameter in space])
    folder = Path(out) if out is not None else runs.FOLDER / f"tune-{plan.name}"
    facts = {
        "recipe": plan.recipe,
        "fingerprint": plan.dataset.fingerprint,
        "search": [str(parameter) for parameter in space],
        "measure": words(chosen, plan.dataset),
        "seed": seed,
    }
    found = _opened(folder, facts)
    say = progress or _say
    with locked(folder, 0):
        for number in range(trials):
            if number == len(found.trials):
                if not _untried(space, found.trials):
                    say(f"all combinations were tried: the search ends after {number} trials.")
                    break
                values = _suggest(number, space, found.trials, plan.recipe, seed)
                found.trials.append(Trial(f"trial-{number:02d}", values))
                _write(found)
            trial = found.trials[number]
            if trial.status == "running":
                _run(trial, folder, plan, chosen, allow_code, quiet)
                trial.spent = _spent(folder / trial.folder)
                _write(found)
            say(f"[{number + 1}/{trials}] {trial}")
        return _ended(found, plan, space)


def _optuna() -> Any:
    try:
        import optuna
    except ImportError:
        raise need("optuna", "tune", "a search for options") from None
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    return optuna


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def _opened(folder: Path, facts: dict[str, Any]) -> Tuning:
    """The search of a folder, new or as it was left."""
    path = folder / "tune.json"
    if not path.is_file():
        folder.mkdir(parents=True, exist_ok=True)
        return Tuning(folder, facts, [])
    content = json.loads(path.read_text(encoding="utf-8"))
    for key, value in json.loads(json.dumps(facts)).items():
        if content.get(key) != value:
            raise BadInput(f"{folder} holds a search with another {key}. Choose another --out.")
    return Tuning(folder, facts, [Trial(**trial) for trial in content["trials"]])


def _write(found: Tuning) -> None:
    text = json.dumps(found.as_dict(), indent=1, allow_nan=False)
    write_text(found.out / "tune.json", text + "\n")


def _suggest(
    number: int,
    space: Sequence[Parameter],
    trials: Sequence[Trial],
    recipe: Mapping[str, Any],
    seed: int,
) -> dict[str, Any]:
    """What the next trial tries; one that failed counts as bad as the worst that did not.

    Never the same again: all trials train with one seed, so it would teach nothing.
    """
    usual = {p.key: value_of(recipe, p.key) for p in space}
    if number == 0 and all(p.holds(usual[p.key]) for p in space):
        return usual
    optuna = _optuna()
    made = optuna.distributions
    kinds = {
        p.key: made.CategoricalDistribution(p.values)
        if not isinstance(p, Range)
        else (made.IntDistribution if isinstance(p.low, int) else made.FloatDistribution)(
            p.low, p.high, log=p.log
        )
        for p in space
    }
    sampler = optuna.samplers.TPESampler(seed=seed * 10_000 + number)
    study = optuna.create_study(sampler=sampler)
    worst = max((t.value for t in trials if t.value is not None), default=None)
    for trial in trials:
        value = worst if trial.value is None else trial.value
        if value is not None:
            study.add_trial(
                optuna.trial.create_trial(params=trial.values, distributions=kinds, value=value)
            )
    tried = [trial.values for trial in trials]
    for _ in range(ASKED):
        if (values := dict(study.ask(kinds).params)) not in tried:
            return values
    left = _untried(space, trials)
    assert left is not None  # or the search had ended
    return left


def _untried(space: Sequence[Parameter], trials: Sequence[Trial]) -> dict[str, Any] | None:
    """A combination of values that no trial has; None where all were tried."""
    more = len(trials) + 1  # so many values of one parameter are enough to find it
    keys = [p.key for p in space]
    tried = [trial.values for trial in trials]
    grid = product(*(_some(p, more) for p in space))
    combinations = (dict(zip(keys, values, strict=True)) for values in grid)
    return next((values for values in combinations if values not in tried), None)


def _some(parameter: Parameter, most: int) -> Sequence[Any]:
    """Different values of a parameter: all, or the first so many."""
    if not isinstance(parameter, Range):
        return parameter.values[:most]
    low, high = parameter.low, parameter.high
    if isinstance(low, int) and isinstance(high, int):
        return range(low, high + 1)[:most]
    return [low + (high - low) * i / most for i in range(most)]


def _run(
    trial: Trial, folder: Path, plan: Plan, measure: Measure, allow_code: bool, quiet: bool
) -> None:
    """Train and measure; a failure with a name is a result."""
    tried = with_values(plan.recipe, trial.values)
    began = time.monotonic()
    try:
        recipes.resolve(tried, allow_code=allow_code)
    except BadInput as error:  # a combination that does not fit
        trial.status, trial.message = "failed", str(error)
        return
    try:
        path = runs.start(tried, out=folder / trial.folder, allow_code=allow_code, quiet=quiet)
    except FAILURES as error:
        trial.status, trial.message = "failed", f"{type(error).__name__}: {error}"
        return
    trial.seconds = round(time.monotonic() - began, 1)
    value = MEASURES[measure](load(path, allow_code=allow_code), plan.dataset)
    if not math.isfinite(value):
        trial.status, trial.message = "failed", f"its {measure} is {value}"
        return
    trial.status, trial.value = "done", value


def _spent(run: Path) -> dict[str, float] | None:
    """What a trial spent, also one that failed on its way."""
    told = runs.state(run).get("private")
    return told and {name: told[name] for name in ("epsilon", "delta")}


def with_values(recipe: Mapping[str, Any], values: Mapping[str, Any]) -> dict[str, Any]:
    """A recipe with values at "table.key"."""
    changed = json.loads(json.dumps(recipe))
    for key, value in values.items():
        *tables, name = key.split(".")
        inner = changed
        for table in tables:
            inner = inner[table]
        inner[name] = value
    return changed


def _ended(found: Tuning, plan: Plan, space: Sequence[Parameter]) -> Tuning:
    """Write what was found."""
    if not found.done:
        raise GenloomError(
            f"all {len(found.trials)} trials failed; the last: {found.trials[-1].message}"
        )
    best = found.best
    head = (
        f"# The best of {len(found.trials)} trials ({best.folder}): {best.value:.5g}, the "
        f"{found.facts['measure']}.\n"
    )
    if told := found.private:
        head += f"# {privacy(told)}\n# Training by this recipe adds its own epsilon and delta.\n"
        models = [found.out / trial.folder / "model" for trial in found.done]
        for model in filter(Path.is_dir, models):  # a person may have deleted some
            note_search(model, told)
    text = recipes.dumps(with_values(plan.recipe, best.values))
    write_text(found.out / "best.toml", head + text)
    write_text(found.out / "tune.html", page(found.as_dict(), space))
    return found
