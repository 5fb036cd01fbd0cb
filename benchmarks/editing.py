"""Editing as conditions, judged on held-out pictures: one task a run, its ways side by side.

- inpainting and outpainting: a model given the picture with a hole ("given"), trained on all the
  holes of `given.holes`, beside an unconditional one whose known part is put in at every step, with
  one round or several ("repaint"; Lugmayr et al., 2022, arXiv:2201.09865). Outpainting is tested on
  outer frames, inpainting on all other holes.
- colorization, super2, super4: a model given the grey or the small picture.
- style (two folders of pictures with the same names): given the mate; given pictures of other
  things in training ("unpaired", which can learn no more than the style); or the source covered
  with noise and denoised by a model of the other style ("edited"; Meng et al., 2021,
  arXiv:2108.01073). CycleGAN and pix2pix are in `benchmarks.translate`.
- strokes: held-out pictures in six colours without detail, "edited" with several strengths: how
  far that leads from the source ("from_source"), and how near to real pictures.

Beside each stands the same net, trained as long to the mean square error from the same source
("squared"): one answer to each source, whose error is the least that one answer can have, and a
blur as a picture; the mean of several answers of a sampler goes towards it. "plain" needs no model:
the mean of what is known, grey, bicubic, or the source as it is.

Measures are those of the first answer beside the truth, with 95 % bootstrap intervals over the
pictures (see `metrics.paired`; with a hole, of the hole alone); KID to OTHER held-out pictures, for
which the line "real" has the value of the truth; "chroma", how much colour there is, which the
truth has more of than what is safe in "colour_difference"; "spread", the mean distance between two
answers to one source.

    python -m benchmarks.editing --task inpainting --data shared/data/cifar10-10k --minutes 10
"""

from __future__ import annotations

import argparse
import copy
import json
import math
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import combinations
from pathlib import Path
from typing import Any, final

import torch
from PIL import Image as Pictures
from PIL import ImageFilter
from torch import Tensor

from benchmarks.harness import machine
from benchmarks.shared import data_folder
from benchmarks.translate import sheet
from genloom import given
from genloom.codecs.image import Image
from genloom.core import Condition, Generative, Items, Real, Rng, Space, Terms
from genloom.data import Dataset, Split, open_dataset, open_test
from genloom.learner import Learner, Micro, reseed
from genloom.memory import kept_pages
from genloom.metrics.estimate import Estimate
from genloom.metrics.extractor import Extractor, extractor
from genloom.metrics.kid import kid
from genloom.metrics.paired import apart, bootstrap, chroma, paired
from genloom.models.diffusion import Diffusion, Net
from genloom.nets.layout import channels_last, to_channels_last
from genloom.options import TrainOptions
from genloom.sampling import edit, sample

TRIAL = 5  # steps that tell how many fit into the time
PREPARED = 2048  # training pictures that a model may measure before it trains
FIRST = 10**6  # seed of the first answer
COLOURS, MEDIAN = 6, 23 / 256  # of strokes: colours, and the side of the filter as a share


@dataclass(frozen=True)
class Task:
    """What is asked for.

    Args:
        given: A row of `given.SOURCES`, or "none".
        sides: Ways of doing it.
        forms: Which draws of the form of a hole are tested, see `given.holes`.
        data: A folder of `benchmarks.shared`, where no data are named.
    """

    given: str
    sides: tuple[str, ...] = ("given", "squared")
    forms: tuple[float, float] = (0.0, 1.0)
    data: str = "cifar10-10k"


TASKS = {
    "inpainting": Task("masked", ("given", "squared", "repaint"), (0.0, 0.75)),
    "outpainting": Task("masked", ("given", "squared", "repaint"), (0.75, 1.0)),
    "colorization": Task("grey"),
    "super2": Task("small2"),
    "super4": Task("small4"),
    "style": Task("paired", ("given", "squared", "unpaired", "edited"), data="emoji-restyle"),
    "strokes": Task("none", ("edited",)),
}
ALONE = ("repaint", "edited")  # sides that an unconditional model has


@dataclass(frozen=True)
class Held:
    """Pictures that no model has seen, uint8 (n, C, H, W).

    Args:
        true: What answers should be.
        plain: What needs no model: the source, as far as it is a picture, its hole filled.
        source: What a model is given, reals (n, C', H, W); None where that is nothing.
        hole: Where answers may differ, bool (n, 1, H, W); None: everywhere.
        others: Further held-out pictures, for distances between sets.
    """

    true: Tensor
    plain: Tensor
    source: Tensor | None
    hole: Tensor | None
    others: Tensor


@final
class Squared(Generative):
    """The net of a diffusion model, trained to E[x | source]: one answer, without noise."""

    recommended = Diffusion.recommended
    mean: Tensor
    std: Tensor

    def __init__(self, space: Real, conditions: Mapping[str, Space], *, net: Net):
        super().__init__(space, conditions)
        self.shape = space.shape
        channels, *spatial = space.shape
        self.net = net(channels, channels, len(spatial), conditions)
        self.register_buffer("mean", torch.zeros(channels, 1, 1))
        self.register_buffer("std", torch.ones(channels, 1, 1))

    def prepare(self, x: Tensor, cond: Condition) -> None:
        """Measure mean and deviation of each channel, as the diffusion model does."""
        std, mean = torch.std_mean(x, (0, 2, 3), keepdim=True)
        self.mean.copy_(mean[0])
        self.std.copy_(std[0])

    def loss(self, x: Tensor, cond: Condition) -> Terms:
        """Mean square error in units of the deviation."""
        return {"square": (self._guess(cond, len(x)) - (x - self.mean) / self.std).square().mean()}

    def sample_steps(self, rng: Rng, cond: Condition) -> Iterator[Tensor]:
        """The one answer."""
        yield (self.mean + self.std * self._guess(cond, len(rng))).clamp(-1, 1)

    def _guess(self, cond: Condition, n: int) -> Tensor:
        nothing = self.mean.new_zeros(n, *self.shape)
        return self.net(nothing, nothing.new_zeros(n), cond)


def strokes(items: Tensor) -> Tensor:
    """Pictures as a brush would have them: a median filter, and six colours each.

    Meng et al., 2021 (arXiv:2108.01073), appendix C.2, with the filter at the same share of the
    side and Pillow's median cut for the palette.
    """
    size = 2 * max(1, round(MEDIAN * min(items.shape[2:]) / 2)) + 1
    found = []
    for item in items:
        shown = item.permute(1, 2, 0).squeeze(-1).contiguous().numpy()
        brushed = Pictures.fromarray(shown).filter(ImageFilter.MedianFilter(size))
        few = brushed.quantize(COLOURS, Pictures.Quantize.MEDIANCUT).convert(brushed.mode)
        found.append(torch.frombuffer(bytearray(few.tobytes()), dtype=torch.uint8))
    height, width = items.shape[2:]
    return torch.stack(found).view(len(items), height, width, -1).permute(0, 3, 1, 2).contiguous()


def filled(items: Tensor, hole: Tensor) -> Tensor:
    """Pictures whose hole has the mean colour of what is around it, uint8 (n, C, H, W)."""
    known = (~hole).expand_as(items)
    mean = (items * known).sum((2, 3), keepdim=True) / known.sum((2, 3), keepdim=True).clamp(min=1)
    return torch.where(hole, mean.round().byte(), items)


def held_out(task: Task, data: Dataset, test: Split, n: int, seed: int) -> Held:
    """At most n pictures of the test part with their sources, and as many for validation."""
    rows, more = (torch.linspace(0, len(p) - 1, min(n, len(p))).long() for p in (test, data.valid))
    true, others = test.items[rows], data.valid.items[more]
    stream = torch.Generator().manual_seed(seed)
    if task.given == "none":
        return Held(true, strokes(true), None, None, others)
    if task.given == "masked":
        u = torch.rand(len(true), given.DRAWS, generator=stream)
        low, high = task.forms
        u[:, 0] = low + (high - low) * u[:, 0]
        hole = given.holes(u, *true.shape[2:])
        return Held(true, filled(true, hole), given.with_hole(true, hole), hole, others)
    source = given.completed(data.items, true, test.given(rows))["source"]
    return Held(true, given.shown(data.items, source), source, None, others)


def built(side: str, items: Items, args: argparse.Namespace) -> Generative:
    """A model with weights of the seed; without conditions for sides that need none."""
    reseed(args.seed, 0, "weights")
    space = Real(items.shape, levels=256)
    conditions = {} if side == "alone" else {"source": given.space(items)}
    net = partial(Diffusion.usual_net(space), **args.net)
    if side == "squared":
        return Squared(space, conditions, net=net)
    return Diffusion(space, conditions, net=net, **args.model)


def batch(
    model: Generative, side: str, data: Dataset, position: int, size: int, seed: int
) -> tuple[Tensor, Condition]:
    """Of training: as the library's trainer makes it, but for sources of others where unpaired."""
    items, cond, _ = data.train.batch(position, size, seed)
    reseed(seed, position, "items")
    x, every = given.encoded(Image(data.items), *data.augmented(items, cond))
    cond = {name: every[name] for name in model.conditions}
    if side == "unpaired":
        cond = {"source": cond["source"].roll(1, 0)}
    return channels_last(x), cond


def run(
    model: Generative, side: str, data: Dataset, options: TrainOptions, steps: int
) -> tuple[Generative, float]:
    """So many steps of the library's learner: the averaged model, and seconds."""
    learner, n = Learner(model, options, steps), options.batch
    start = time.perf_counter()
    for index in range(steps):
        x, cond = batch(model, side, data, index, n, options.seed)
        figures = learner.step(index, [Micro(x, cond, 0, n, range(n))])
        if index % max(1, steps // 10) == 0:
            shown = {name: round(value, 3) for name, value in figures.items()}
            print(side, index, shown, file=sys.stderr, flush=True)
    return learner.sampler(), time.perf_counter() - start


def trained(
    side: str, data: Dataset, args: argparse.Namespace
) -> tuple[Generative, dict[str, Any]]:
    """A model after `args.minutes`, or `args.steps`, of training; and how long that was."""
    model = built(side, data.items, args)
    options = TrainOptions(**{**model.recommended, **args.train, "seed": args.seed})
    model.prepare(*batch(model, side, data, 0, PREPARED, args.seed))
    to_channels_last(model)
    steps: int = args.steps or 0
    for trial in () if steps else (1, TRIAL):  # the first run warms up
        _, seconds = run(copy.deepcopy(model), side, data, options, trial)
        steps = math.ceil(60 * args.minutes * trial / seconds)
    averaged, seconds = run(model, side, data, options, steps)
    size = sum(p.numel() for p in model.parameters())
    return averaged, {"steps": steps, "seconds": round(seconds, 1), "parameters": size}


def ways(side: str, args: argparse.Namespace) -> dict[str, dict[str, Any]]:
    """Name -> options, of every answer that a side is asked for."""
    swept = {
        "given": ("guidance", args.guidance),
        "unpaired": ("guidance", args.guidance[:1]),
        "repaint": ("rounds", args.rounds),
        "edited": ("strength", args.strengths),
    }
    if side not in swept:
        return {side: {}}
    name, values = swept[side]
    return {f"{side}@{value:g}": {**args.sample, name: value} for value in values}


def answers(
    model: Generative, side: str, held: Held, times: int, size: int, options: Mapping[str, Any]
) -> Tensor:
    """So many answers to every source, each with its own seed: uint8 (times, n, C, H, W)."""
    n, codec = len(held.true), Image(Items("image", tuple(held.true.shape[1:])))
    made = []
    for k in range(times):
        first = FIRST + k * n
        if side in ALONE:
            parts = []
            for start in range(0, n, size):
                part = slice(start, min(start + size, n))
                seeds = range(first + part.start, first + part.stop)
                hole = None if held.hole is None else held.hole[part]
                source = given.unit(held.plain[part])
                parts.append(edit(model, seeds, {}, source, hole, **options))
            x = torch.cat(parts)
        else:
            assert held.source is not None
            x = sample(model, n, {"source": held.source}, seed=first, batch=size, **options)
        made.append(codec.decode(x))
    made = torch.stack(made)
    return made if held.hole is None else torch.where(held.hole, made, held.true)


def spread(made: Tensor, hole: Tensor | None, features: Extractor) -> dict[str, Any]:
    """Mean distance between two answers to one source: pixels, of the hole if any, and features."""
    n, seen = made.shape[1], [features(one) for one in made]
    counted = torch.ones(n, 1, *made.shape[3:]) if hole is None else hole
    counted = counted.expand(made.shape[1:]).flatten(1).double()
    pixels, far = torch.zeros(n).double(), torch.zeros(n).double()
    pairs = list(combinations(range(len(made)), 2))
    for i, j in pairs:
        error = (made[i].double() - made[j].double()).abs().flatten(1)
        pixels += (error * counted).sum(1) / counted.sum(1).clamp(min=1) / len(pairs)
        far += apart(seen[i], seen[j]) / len(pairs)
    return {"pixels": _told(pixels), "features": _told(far)}


def colour(items: Tensor) -> dict[str, Any]:
    """Mean length of a and b of CIE Lab, of pictures in colour, uint8 (n, 3, H, W)."""
    if items.shape[1] != 3:
        return {}
    return {"chroma": _told(chroma(items).norm(dim=1).mean((1, 2)))}


def _told(values: Tensor) -> dict[str, float]:
    low, high = bootstrap(values)
    figures = {"value": float(values.mean()), "low": low, "high": high}
    return {name: float(f"{figure:.5g}") for name, figure in figures.items()}


def told(found: Sequence[Estimate]) -> dict[str, Any]:
    """Estimates as short plain values, by name."""
    keys = ("value", "low", "high", "trivial")
    return {
        one.name.partition("[")[0]: {
            key: float(f"{figure:.5g}") for key in keys if (figure := getattr(one, key)) is not None
        }
        for one in found
    }


def judged(made: Tensor, held: Held, features: Extractor, *, source: bool) -> dict[str, Any]:
    """All measures of answers (times, n, C, H, W); with `source`, its distance from there too."""
    first = made[0]
    found = paired(first, held.true, held.plain, features, held.hole)
    set_found = kid(features(first), features(held.others), id=features.id)
    line: dict[str, Any] = {**told([*found, set_found]), **colour(first)}
    if source:
        line["from_source"] = told(paired(first, held.plain, held.true, features))
    return {**line, "spread": spread(made, held.hole, features)} if len(made) > 1 else line


def lines_of(
    side: str, model: Generative, held: Held, features: Extractor, args: argparse.Namespace
) -> dict[str, tuple[Tensor, dict[str, Any]]]:
    """Name -> first answers and what was measured, of every way of a side and of the means."""
    lines: dict[str, tuple[Tensor, dict[str, Any]]] = {}
    times = 1 if side == "squared" else args.answers
    for name, options in ways(side, args).items():
        start = time.perf_counter()
        made = answers(model, side, held, times, args.batch, options)
        each = (time.perf_counter() - start) / made[:, :, 0, 0, 0].numel()
        found = judged(made, held, features, source=side == "edited")
        lines[name] = made[0], {**found, "seconds_an_answer": float(f"{each:.3g}")}
        if times > 1 and side in ("given", "repaint"):
            mean = made.double().mean(0, keepdim=True).round().byte()
            lines[f"mean of {name}"] = mean[0], judged(mean, held, features, source=False)
    return lines


def arguments() -> argparse.Namespace:
    """What to run, and how long."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--task", required=True, choices=list(TASKS))
    parser.add_argument("--data", help="whatever `genloom train` reads")
    parser.add_argument("--size", type=int, help="of the pictures; as they are if left out")
    parser.add_argument("--flip", action="store_true", help="mirror half of a training batch")
    parser.add_argument("--minutes", type=float, default=5.0, help="for each net")
    parser.add_argument("--steps", type=int, help="in place of the minutes")
    parser.add_argument("--sides", nargs="+", help="all of the task if left out")
    parser.add_argument("--n", type=int, default=200, help="test pictures")
    parser.add_argument("--answers", type=int, default=3, help="to each source")
    parser.add_argument("--guidance", type=float, nargs="+", default=[1.0, 1.5])
    parser.add_argument("--rounds", type=int, nargs="+", default=[1, 5])
    parser.add_argument("--strengths", type=float, nargs="+", default=[0.2, 0.35, 0.5, 0.65, 0.8])
    parser.add_argument("--batch", type=int, default=50, help="answers at a time")
    parser.add_argument("--model", type=json.loads, default={}, help="options, as JSON")
    parser.add_argument("--net", type=json.loads, default={}, help="options, as JSON")
    parser.add_argument("--train", type=json.loads, default={}, help="options, as JSON")
    parser.add_argument("--sample", type=json.loads, default={}, help="options, as JSON")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, help="a picture of the first test pictures goes here")
    args = parser.parse_args()
    args.sides = args.sides or TASKS[args.task].sides
    if unknown := set(args.sides) - set(TASKS[args.task].sides):
        parser.error(
            f"{args.task} has no {', '.join(unknown)}: {', '.join(TASKS[args.task].sides)}"
        )
    return args


@kept_pages()
def main() -> None:
    """One JSON line for each way, and one each for real pictures and for what needs no model."""
    args, began = arguments(), time.perf_counter()
    torch.set_num_threads(args.threads)
    task = TASKS[args.task]
    source = args.data or data_folder(task.data)
    data = open_dataset(source, size=args.size, flip=args.flip, given=task.given)
    held = held_out(task, data, open_test(data), args.n, args.seed)
    features = extractor(data.items, data.train)
    shown = ("task", "seed", "flip", "answers", "model", "net", "train", "sample")
    about = {"benchmark": "editing", "data": data.name, "shape": data.items.shape}
    about |= {name: getattr(args, name) for name in shown} | {"n": len(held.true)}
    real = kid(features(held.true), features(held.others), id=features.id)
    print(json.dumps({**about, "side": "real", **told([real]), **colour(held.true)}), flush=True)
    needless = judged(held.plain[None], held, features, source=False)
    print(json.dumps({**about, "side": "plain", **needless}), flush=True)
    nets: dict[str, tuple[Generative, dict[str, Any]]] = {}
    columns = {"source": held.plain}
    for side in args.sides:
        net = "alone" if side in ALONE else side
        if net not in nets:
            nets[net] = trained(net, data, args)
        model, facts = nets[net]
        for name, (made, found) in lines_of(side, model, held, features, args).items():
            columns[name] = made
            print(json.dumps({**about, "side": name, **found, **facts, **machine()}), flush=True)
    if args.out is not None:
        pictures = {**columns, "truth": held.true}
        sheet({k: given.unit(v[:12]).expand(-1, 3, -1, -1) for k, v in pictures.items()}, args.out)
    print(f"{time.perf_counter() - began:.0f} s in all", file=sys.stderr)


if __name__ == "__main__":
    main()
