"""What a run shows of itself: a grid of samples from fixed seeds, a held-out loss, diversity."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from PIL import Image
from torch import Tensor

from genloom.answering import answered, prompts
from genloom.checkpoint import naming_a_full_disk
from genloom.codecs import grid
from genloom.codecs.points import table
from genloom.core import END, Condition, Generative
from genloom.given import completed, shown
from genloom.health import diversity
from genloom.sampling import evaluating, sample

if TYPE_CHECKING:
    from genloom.recipe import Plan

GRID = 64  # samples of a grid, with the seeds 0, 1, ...
FEW = 4  # of one where samples are dear
MANY = 256  # samples of a diversity check, where sampling is cheap
HELD_OUT = 4  # batches of the held-out loss


class Previewer:
    """Draws from the model in training, always with the same seeds and conditions.

    Those are of the first held-out items, where there are captions or sources; else all classes in
    turn.
    """

    def __init__(self, plan: Plan, folder: Path, device: torch.device):
        self.plan, self.folder, self.device = plan, folder, device
        self.cheap = False
        self.count = GRID
        self._last: Tensor | None = None
        self._known: Tensor | None = None  # tokens that each of them is given
        train, valid = plan.dataset.train, plan.dataset.valid
        self._data = train.batch(0, min(len(train), MANY), 0)[0]
        other = valid if len(valid) else train
        self._other = other.batch(0, min(len(other), MANY), 0)[0]
        self._cond = self._conditions()

    def _conditions(self) -> Condition:
        items, valid = self.plan.dataset.items, self.plan.dataset.valid
        rows = torch.arange(MANY)
        if set(items.conditions) <= {"label"} or not len(valid):
            return {"label": rows % len(items.classes)} if items.classes else {}
        rows = rows % len(valid)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(self.plan.options.seed)
            return completed(items, valid.items[rows], valid.given(rows))

    def fit(self, model: Generative, enough_s: float) -> tuple[int, float]:
        """Settle on how many samples to show, and tell that and the seconds that they take.

        Those that fit into `enough_s` by the time that a few take: a pixel-by-pixel model may need
        minutes for a whole grid.
        """
        self.count = FEW
        spent_s = self._timed(model)
        fitting = FEW * int(enough_s / max(spent_s, 1e-9))
        if fitting > FEW:
            self.count = min(GRID, fitting)
            spent_s = self._timed(model)
        return self.count, spent_s

    def _timed(self, model: Generative) -> float:
        start = time.perf_counter()
        self.draw(model, 0)
        return time.perf_counter() - start

    def draw(self, model: Generative, step: int) -> Image.Image | None:
        """Write `step-NNNNNNNN.png`; of texts, and of points off the plane, a .txt and None."""
        items = self._last = self._items(model, self.count)
        self.folder.mkdir(exist_ok=True)
        path = self.folder / f"step-{step:08d}"
        picture = self._sheet(items)
        with naming_a_full_disk(self.folder):
            if picture is None:
                path.with_suffix(".txt").write_text(self._told(items), encoding="utf-8")
            else:
                picture.save(path.with_suffix(".png"))
        return picture

    def _told(self, items: Tensor) -> str:
        """The first texts, or all points as lines of CSV."""
        if self.plan.dataset.items.kind == "points":
            return table(items)
        return "\n---\n".join(map(self.plan.dataset.items.read, items[:16])) + "\n"

    def _sheet(self, items: Tensor) -> Image.Image | None:
        """All samples, each to the right of its source where there are any."""
        about, source = self.plan.dataset.items, self._cond.get("source")
        if source is None:
            return grid(items, about)
        pairs = torch.stack([shown(about, source[: len(items)]), items], 1).flatten(0, 1)
        return grid(pairs, about, columns=2 * math.ceil(math.sqrt(len(items))))

    def diversity(self, model: Generative) -> float:
        """See `health.diversity`: of the last grid, or of more samples where these are cheap."""
        items = self._items(model, MANY) if self.cheap or self._last is None else self._last
        n = min(len(items), len(self._other))
        if n < 2:
            return 1.0  # one alone has none to be like
        if self.plan.dataset.items.kind == "text":
            spread = [apart(self._unasked(v[:n])) for v in (items, self._other)]
            return float(spread[0] / spread[1]) if spread[1] > 0 else 1.0  # all data are one
        return diversity(items[:n], self._data, self._other[:n])

    @torch.no_grad()
    def valid_loss(
        self, model: Generative, encode: Callable[[Tensor, Condition], tuple[Tensor, Condition]]
    ) -> dict[str, float]:
        """Mean terms on the first held-out batches, with fixed draws; {} where there are none.

        Nor are there of several players. They are those of the end of a run, where a weight that
        rises has its full value.
        """
        valid, options = self.plan.dataset.valid, self.plan.options
        if len(model.players) > 1 or not len(valid):
            return {}
        size = min(options.batch // options.accumulate, len(valid))
        count = min(HELD_OUT, len(valid) // size)
        means: dict[str, float] = {}
        torch.manual_seed(options.seed)
        with evaluating(model):
            for k in range(count):
                x, cond = encode(*valid.batch(k, size, 0)[:2])
                for _, terms in model.losses(x, cond, END):
                    for key, value in terms.items():
                        means[f"valid/{key}"] = (
                            means.get(f"valid/{key}", 0.0) + float(value) / count
                        )
        return means

    def _items(self, model: Generative, n: int) -> Tensor:
        cond = {k: v[:n] for k, v in self._cond.items() if k in model.conditions}
        codec, held_out = self.plan.codec, self._other[:n]
        if given := prompts(model, codec, held_out):
            x, self._known = given
            cond = {name: v[: len(x)] for name, v in cond.items()}
            return codec.decode(answered(model, x, self._known, cond, batch=GRID)).cpu()
        return codec.decode(sample(model, n, cond, batch=GRID)).cpu()

    def _unasked(self, items: Tensor) -> Tensor:
        """Without what a model of answers is given, (n, L)."""
        if self._known is None:
            return items
        given = torch.arange(items.shape[1]) < self._known[: len(items), None]
        return items.masked_fill(given, 0)


def apart(texts: Tensor) -> Tensor:
    """Mean over all pairs of the root of the share of places at which they differ; (n, L)."""
    return (torch.pdist(texts.float(), 0) / texts.shape[1]).sqrt().mean()
