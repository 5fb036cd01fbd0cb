"""Before work starts: play every part of it once, and say how long and how large it will be."""

from __future__ import annotations

import os
import resource
import shutil
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any

from genloom import ranks
from genloom.errors import BadInput, DiskFull
from genloom.options import TrainOptions
from genloom.preview import GRID
from genloom.progress import duration
from genloom.signals import ending

SAVES = 20  # checkpoints of a run, where nobody says how many
PREVIEWS = 10  # sample grids of a run, where they are cheap
SHARE = 0.05  # of a run's time that previews may take


@dataclass(frozen=True)
class Forecast:
    """What a run will take: seconds in all, bytes of memory and disk; and its resolved cadence."""

    steps: int
    step_s: float
    preview_s: float
    save_s: float
    seconds: float
    memory_bytes: int
    disk_bytes: int
    save_every: int
    preview_every: int
    previewed: int = GRID  # samples of a preview

    def as_dict(self) -> dict[str, Any]:
        """For run.json."""
        return asdict(self)

    def __str__(self) -> str:
        return (
            f"{self.steps} steps, about {duration(self.seconds)}, "
            f"{self.memory_bytes / 1e6:.0f} MB of memory, {self.disk_bytes / 1e6:.1f} MB on disk"
        )


def rehearse(
    options: TrainOptions,
    step: Callable[[int], None],
    preview: Callable[[float], tuple[int, float]],
    save: Callable[[], Path],
    *,
    began: float,
) -> Forecast:
    """Time a few steps, one preview and one save, and resolve the budget.

    Args:
        options: Of the run; one of steps, images, minutes, or else five minutes.
        step: Trains on batch i; what it changes is undone by the caller.
        preview: Samples and writes a grid, within about so many seconds; how many samples, and the
            seconds that they took.
        save: Writes a checkpoint and gives its folder.
        began: `time.monotonic()` when the work began: preparation counts as well.

    Raises:
        DiskFull: The forecast does not fit on the disk.
    """
    save_s, folder = _timed(save)
    step(0)
    steps_s: list[float] = []
    most, enough_s = _trial(options)
    while len(steps_s) < 3 or (len(steps_s) < most and ranks.share(sum(steps_s)) < enough_s):
        steps_s.append(_timed(lambda: step(len(steps_s) + 1))[0])
    step_s = median(steps_s)
    planned_s = options.planned * step_s if options.planned is not None else _budget_s(options)
    previewed, preview_s = preview(SHARE / 2 * planned_s)
    ready_s = time.monotonic() - began
    total = _steps(options, step_s, preview_s, save_s, ready_s)
    preview_every = options.preview_every or _spacing(total, step_s, preview_s)
    save_every = options.save_every or max(1, total // SAVES)
    previews, saves = total // preview_every, total // save_every
    size = sum(path.stat().st_size for path in folder.iterdir())
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    forecast = Forecast(
        steps=total,
        step_s=step_s,
        preview_s=preview_s,
        save_s=save_s,
        seconds=ready_s + total * step_s + previews * preview_s + saves * save_s,
        memory_bytes=peak * (1 if sys.platform == "darwin" else 1024),
        disk_bytes=size * (options.keep + 1),
        save_every=save_every,
        preview_every=preview_every,
        previewed=previewed,
    )
    free = shutil.disk_usage(folder).free
    if forecast.disk_bytes - size > free:
        raise DiskFull(
            f"the run needs {forecast.disk_bytes / 1e6:.0f} MB on disk and {free / 1e6:.0f} MB are "
            "free. Make room, or set train.keep = 1."
        )
    return forecast


def forecast(
    recipe: Mapping[str, Any], *, out: str | Path | None = None, allow_code: bool = False
) -> Forecast:
    """Rehearse a recipe and no more: how long its run would take, and how large it would be.

    Nothing is left behind, and a run that lies in `out` is not touched.

    Args:
        recipe: From `runs.compose`.
        out: Where the run would lie; the rehearsal is held beside it, on the same disk.
        allow_code: Accept "module:Name" in the recipe.

    Raises:
        BadInput: The recipe does not fit, or several processes were started.
        DiskFull: The run would not fit on the disk.
    """
    from genloom import trainer
    from genloom.memory import kept_pages
    from genloom.recipe import resolve

    if int(os.environ.get("WORLD_SIZE", "1")) > 1:
        raise BadInput("a forecast is made by one process: leave torchrun away.")
    plan = resolve(recipe, allow_code=allow_code)
    beside = Path("runs") if out is None else Path(out).parent
    place = next(folder for folder in (beside, *beside.absolute().parents) if folder.is_dir())
    with ending(), TemporaryDirectory(dir=place, prefix=".forecast-") as room, kept_pages():
        return trainer.foresee(plan, Path(room))


def _timed(work: Callable[[], Any]) -> tuple[float, Any]:
    start = time.perf_counter()
    result = work()
    return time.perf_counter() - start, result


def _budget_s(options: TrainOptions) -> float:
    return 60 * (options.minutes if options.minutes is not None else 5.0)


def _trial(options: TrainOptions) -> tuple[int, float]:
    """The most steps to time, and the seconds that are enough: more where time is the budget.

    The first process's clock decides, as the processes wait for each other in every step.
    """
    if options.planned is not None:
        return 10, 2.0
    return 100, min(2.0, 0.03 * _budget_s(options))


def _steps(
    options: TrainOptions, step_s: float, preview_s: float, save_s: float, ready_s: float
) -> int:
    if options.planned is not None:
        return options.planned
    budget_s = _budget_s(options)
    previews_s = min(PREVIEWS * preview_s, max(SHARE * budget_s, 2 * preview_s))
    left = budget_s - ready_s - previews_s - (SAVES + 2) * save_s
    return max(1, int(left / step_s))


def _spacing(total: int, step_s: float, preview_s: float) -> int:
    """Steps between previews, so that they take a small share of the time; at least two a run."""
    affordable = int(SHARE * total * step_s / max(preview_s, 1e-9))
    return max(1, total // min(PREVIEWS, max(2, affordable)))
