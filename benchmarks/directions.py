"""Does a direction among codes change what it should, and nothing else? Judged by classifiers.

A VAE learns codes without labels. A direction leads from the mean code of one class to that of
another, both over the training part, which is what the studio makes of two groups of pictures. Each
test picture is encoded, moved by +k directions towards a class drawn for it, and decoded. Two
judges, trained on the training part, say whether it ARRIVED in that class and whether a second
attribute STAYED what it was; DONE is both. Beside it two directions of the same length, of each
picture's own: one drawn from all alike ("random"), much of which a decoder may not see, and one
from a training picture to another ("between"). Rates with Wilson's 95 % intervals; "gain" over
either in what is done, of paired differences by the bootstrap.

Data: "glyphs" (letters, whose second attribute is whether the font is bold: 9 of 20 are),
"factors" (shapes, with the size), or whatever `genloom train` reads with labels (digits, CIFAR):
there the second attribute is whether a picture is lighter than the median one. `--change second`
exchanges the two. Only pictures are moved whose decoded code, unmoved, both judges read right; the
share of them is "readable".

    python -m benchmarks.directions --data glyphs --change second --minutes 5
"""

from __future__ import annotations

import argparse
import copy
import json
import math
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from benchmarks.harness import machine
from genloom.codecs.image import Image
from genloom.core import Items, Real
from genloom.data import factors, glyphs, open_dataset, open_test
from genloom.errors import BadInput
from genloom.learner import Learner, Micro, reseed
from genloom.memory import kept_pages
from genloom.metrics.encoder import Judge, budget, fit, look
from genloom.metrics.estimate import wilson
from genloom.metrics.paired import bootstrap
from genloom.models.vae import Vae, autoencoder, beta_vae
from genloom.nets.layout import channels_last, to_channels_last
from genloom.options import TrainOptions

FAMILIES: dict[str, Callable[..., Vae]] = {
    "vae": Vae,
    "beta_vae": beta_vae,
    "autoencoder": autoencoder,
}
TRIAL = 5  # steps that tell how many fit into the time
AT_ONCE = 500  # pictures in a pass of a net
FONTS, HEAVY = 20, range(1, 18, 2)  # of the glyphs: how many, and which are bold


@dataclass(frozen=True)
class Part:
    """Pictures, uint8 (n, C, H, W), and the classes of two attributes, (n,) each."""

    items: Tensor
    first: Tensor
    second: Tensor

    def at(self, rows: Tensor) -> Part:
        """Some of the rows."""
        return Part(self.items[rows], self.first[rows], self.second[rows])

    def exchanged(self) -> Part:
        """With the attributes the other way round."""
        return Part(self.items, self.second, self.first)


def read(name: str, seed: int) -> tuple[Part, Part]:
    """The training and the test part of a data set, each with two attributes."""
    made = {"glyphs": _glyphs, "factors": _factors}
    if name in made:
        every = made[name]()
        order = torch.randperm(len(every.items), generator=torch.Generator().manual_seed(seed))
        cut = len(order) // 5
        return every.at(order[cut:]), every.at(order[:cut])
    data = open_dataset(name)
    if data.items.kind != "image" or not data.items.classes:
        raise BadInput(f"{name} holds no labelled pictures: give a folder for each class.")
    test = open_test(data)
    light = [part.items.float().mean((1, 2, 3)) for part in (data.train, test)]
    train, held = (
        Part(part.items, part.cond["label"].long(), (value > light[0].median()).long())
        for part, value in zip((data.train, test), light, strict=True)
    )
    return train, held


def _glyphs() -> Part:
    items, letters = (torch.from_numpy(part) for part in glyphs.draw())
    font = torch.arange(len(items)) // len(glyphs.LETTERS) % FONTS
    return Part(items, letters.long(), torch.isin(font, torch.tensor(HEAVY)).long())


def _factors() -> Part:
    items, causes = (torch.from_numpy(part) for part in factors.draw())
    place = list(factors.COUNTS).index
    return Part(items, causes[:, place("shape")], causes[:, place("scale")])


def trained(x: Tensor, args: argparse.Namespace) -> tuple[Vae, dict[str, Any]]:
    """A VAE after `args.minutes`, or `args.steps`, of training; and how long that was."""
    reseed(args.seed, 0, "weights")
    model = FAMILIES[args.family](Real(tuple(x.shape[1:]), levels=256), {}, **args.model)
    model.prepare(x[:2048], {})
    to_channels_last(model)
    options = TrainOptions(**{**model.recommended, **args.train, "seed": args.seed})
    steps: int = args.steps or 0
    for trial in () if steps else (1, TRIAL):  # the first run warms up
        _, seconds = run(copy.deepcopy(model), x, options, trial)
        steps = math.ceil(60 * args.minutes * trial / seconds)
    averaged, seconds = run(model, x, options, steps)
    return averaged, {"steps": steps, "seconds": round(seconds, 1)}


def run(model: Vae, x: Tensor, options: TrainOptions, steps: int) -> tuple[Vae, float]:
    """So many steps of the library's learner: the averaged model, and seconds."""
    learner, n = Learner(model, options, steps), options.batch
    stream = torch.Generator().manual_seed(options.seed)
    start = time.perf_counter()
    for index in range(steps):
        rows = torch.randint(len(x), (n,), generator=stream)
        figures = learner.step(index, [Micro(channels_last(x[rows]), {}, 0, n, rows)])
        if index % max(1, steps // 10) == 0:
            shown = {name: round(value, 2) for name, value in figures.items()}
            print(index, shown, file=sys.stderr, flush=True)
    found = learner.sampler()
    assert isinstance(found, Vae)
    return found, time.perf_counter() - start


def judge(items: Tensor, classes: Tensor, seed: int, seen: int | None) -> Judge:
    """A classifier of one attribute, trained on the training part."""
    shape: Any = tuple(items.shape[1:])
    torch.manual_seed(seed)
    net = Judge(shape, int(classes.max()) + 1)
    seen = seen or budget(shape, len(items))
    fit(net, items, classes, seen=seen, seed=seed)
    return net


@torch.inference_mode()
def by_parts(function: Callable[[Tensor], Tensor], x: Tensor) -> Tensor:
    """A function of rows, some at a time."""
    return torch.cat([function(part) for part in x.split(AT_ONCE)])


def classes_of(net: Judge, items: Tensor) -> Tensor:
    """What a judge sees in stored pictures, (n,)."""
    return by_parts(lambda part: net(look(part)).argmax(1), items)


def means_of(codes: Tensor, classes: Tensor, count: int) -> Tensor:
    """The mean code of every class: (n, D), (n,) -> (count, D)."""
    sums = codes.new_zeros(count, codes.shape[1]).index_add_(0, classes, codes)
    return sums / classes.bincount(minlength=count)[:, None].clamp(min=1)


def targets(classes: Tensor, count: int, seed: int) -> Tensor:
    """Another class for each row, any of the others with equal chance: (n,)."""
    stream = torch.Generator().manual_seed(seed)
    return (classes + torch.randint(1, count, classes.shape, generator=stream)) % count


def others(steps: Tensor, codes: Tensor, seed: int) -> dict[str, Tensor]:
    """Directions as long as these, row by row, (n, D): of any kind, and between two codes each."""
    stream = torch.Generator().manual_seed(seed)
    a, b = torch.randint(len(codes), (2, len(steps)), generator=stream)
    drawn = {
        "random": torch.randn(steps.shape, generator=stream),
        "between": codes[a] - codes[torch.where(a == b, (b + 1) % len(codes), b)],
    }
    return {
        name: v * (steps.norm(dim=1) / v.norm(dim=1).clamp(min=1e-12))[:, None]
        for name, v in drawn.items()
    }


def rate(hits: Tensor) -> dict[str, float]:
    """A share with Wilson's interval."""
    low, high = wilson(int(hits.sum()), len(hits))
    figures = {"value": hits.double().mean().item(), "low": low, "high": high}
    return {name: round(value, 4) for name, value in figures.items()}


def gain(hits: Tensor, others: Tensor) -> dict[str, float]:
    """The mean of paired differences with its bootstrap interval."""
    found = hits.double() - others.double()
    low, high = bootstrap(found)
    figures = {"value": found.mean().item(), "low": low, "high": high}
    return {name: round(value, 4) for name, value in figures.items()}


@dataclass(frozen=True)
class Bench:
    """What moves pictures and what judges them: a model and two classifiers."""

    model: Vae
    codec: Image
    first: Judge
    second: Judge

    def codes(self, items: Tensor) -> Tensor:
        """(n, D)."""
        return by_parts(lambda part: self.model.encode(self.codec.encode(part), {}), items)

    def seen(self, codes: Tensor) -> tuple[Tensor, Tensor]:
        """Both attributes of decoded codes, (n,) each."""
        items = by_parts(lambda part: self.codec.decode(self.model.decode(part, {})), codes)
        return classes_of(self.first, items), classes_of(self.second, items)


def moved(
    bench: Bench, train: Part, test: Part, reach: Sequence[float], seed: int
) -> Iterator[dict[str, Any]]:
    """Lines: what can be moved at all, then the rates at each number of directions."""
    count = int(train.first.max()) + 1
    known, codes = bench.codes(train.items), bench.codes(test.items)
    means = means_of(known, train.first, count)
    first, second = bench.seen(codes)
    fit_for = (first == test.first) & (second == test.second)
    yield {"readable": rate(fit_for), "classes": count}
    if not fit_for.any():
        return
    codes, first, second = codes[fit_for], test.first[fit_for], test.second[fit_for]
    aims = targets(first, count, seed)
    steps = means[aims] - means[first]
    sides = {"direction": steps, **others(steps, known, seed)}
    for k in reach:
        done: dict[str, Tensor] = {}
        line: dict[str, Any] = {"k": k, "n": len(codes)}
        for name, step in sides.items():
            now, kept = bench.seen(codes + k * step)
            arrived, stayed = now == aims, kept == second
            done[name] = arrived & stayed
            named = {"arrived": arrived, "left": now != first, "stayed": stayed, "done": done[name]}
            line[name] = {what: rate(hits) for what, hits in named.items()}
        own = done.pop("direction")
        yield {**line, "gain": {name: gain(own, hits) for name, hits in done.items()}}


def arguments() -> argparse.Namespace:
    """What to run, and how long."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", default="glyphs", help="glyphs, factors, or labelled pictures")
    parser.add_argument("--change", choices=["first", "second"], default="first")
    parser.add_argument("--family", choices=list(FAMILIES), default="vae")
    parser.add_argument("--reach", type=float, nargs="+", default=[0, 0.5, 1, 1.5, 2, 3])
    parser.add_argument("--minutes", type=float, default=5.0, help="of the VAE's training")
    parser.add_argument("--steps", type=int, help="in place of the minutes")
    parser.add_argument("--seen", type=int, help="pictures that a judge sees in training")
    parser.add_argument("--n", type=int, default=2000, help="test pictures, at most")
    parser.add_argument("--model", type=json.loads, default={}, help="options, as JSON")
    parser.add_argument("--train", type=json.loads, default={}, help="options, as JSON")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--seed", type=int, default=0)
    return parser.parse_args()


@kept_pages()
def main() -> None:
    """One JSON line for the judges, and one for each number of directions."""
    args = arguments()
    torch.set_num_threads(args.threads)
    train, test = read(args.data, args.seed)
    test = test.at(torch.linspace(0, len(test.items) - 1, min(args.n, len(test.items))).long())
    if args.change == "second":
        train, test = train.exchanged(), test.exchanged()
    codec = Image(Items("image", tuple(train.items.shape[1:])))
    first, second = (
        judge(train.items, classes, args.seed + i, args.seen)
        for i, classes in enumerate((train.first, train.second))
    )
    right = {
        "changed": rate(classes_of(first, test.items) == test.first),
        "other": rate(classes_of(second, test.items) == test.second),
    }
    model, facts = trained(codec.encode(train.items), args)
    about = {"benchmark": "directions", "data": args.data, "change": args.change, **facts}
    about |= {name: getattr(args, name) for name in ("family", "model", "train", "seed")}
    print(json.dumps({**about, "judges": right, "train_n": len(train.items)}), flush=True)
    bench = Bench(model.eval(), codec, first, second)
    for line in moved(bench, train, test, args.reach, args.seed):
        print(json.dumps({**about, **line, **machine()}), flush=True)


if __name__ == "__main__":
    main()
