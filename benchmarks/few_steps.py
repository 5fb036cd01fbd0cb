"""MeanFlow beside flow matching at equal CPU time of training, sampled in 1, 2, 4 and 32 steps.

The energy distance of samples to held-out data (Szekely and Rizzo, 2013), and for digits the share
of samples that a support vector machine gives the label they were asked for.

    python -m benchmarks.few_steps --seconds 60
"""

from __future__ import annotations

import json
import time
from importlib import import_module
from typing import Any

import torch
from torch import Tensor

from benchmarks.harness import machine, parser
from genloom import catalog
from genloom.data.dataset import open_test
from genloom.learner import Learner, Micro
from genloom.nets.layout import channels_last, to_channels_last
from genloom.options import TrainOptions
from genloom.recipe import Plan, resolve
from genloom.sampling import sample

BATCH, SAMPLES, PROBE = 128, 1500, 20
COUNTS = (1, 2, 4, 32)


def batch(plan: Plan, index: int, n: int = BATCH) -> Micro:
    """The index-th batch of the training part, as the trainer lays it out."""
    items, cond, ids = plan.dataset.train.batch(index, n, 0)
    x = plan.codec.encode(items)
    return Micro(channels_last(x) if x.ndim == 4 else x, cond, 0, n, ids)


def trained(plan: Plan, seconds: float) -> tuple[Any, int]:
    """The averaged model after that much CPU time, and the steps that fitted."""
    to_channels_last(plan.model)
    first = batch(plan, 0, 1024)
    plan.model.prepare(first.x, first.cond)
    options = TrainOptions(**{**plan.model.recommended, "batch": BATCH})
    start = {key: value.clone() for key, value in plan.model.state_dict().items()}
    probe = Learner(plan.model, options)
    probe.step(0, [batch(plan, 0)])
    began = time.process_time()
    for index in range(PROBE):
        probe.step(index, [batch(plan, index)])
    total = int(seconds / (time.process_time() - began) * PROBE)
    plan.model.load_state_dict(start)
    learner = Learner(plan.model, options, total)
    for index in range(total):
        learner.step(index, [batch(plan, index)])
    return learner.sampler(), total


def energy(a: Tensor, b: Tensor) -> float:
    """The energy distance of two sets of points, without bias; 0 for equal laws."""

    def within(v: Tensor) -> Tensor:
        return torch.cdist(v, v).sum() / (len(v) * (len(v) - 1))

    return float(2 * torch.cdist(a, b).mean() - within(a) - within(b))


def judge(plan: Plan) -> Any:
    """A support vector machine on the training part, or None without ten labels."""
    if plan.dataset.items.kind != "image":
        return None
    svm: Any = import_module("sklearn.svm")
    all_of_it = batch(plan, 0, len(plan.dataset.train))
    return svm.SVC(gamma=0.02, C=10).fit(all_of_it.x.flatten(1).numpy(), all_of_it.cond["label"])


def main() -> None:
    """Both families on both data sets."""
    options = parser(__doc__)
    options.add_argument("--seconds", type=float, default=60, help="of CPU time, each")
    options.add_argument("--data", nargs="+", default=["moons", "digits"])
    args = options.parse_args()
    torch.set_num_threads(args.threads)
    for data in args.data:
        for family in ("flow", "meanflow"):
            assert family in catalog.names("model")
            torch.manual_seed(args.seed)
            plan = resolve({"data": {"source": data}, "model": {"use": family}})
            model, steps = trained(plan, args.seconds)
            classes = len(plan.dataset.items.classes)
            cond = {"label": torch.arange(SAMPLES) % classes} if classes else {}
            test = open_test(plan.dataset)
            items, _, _ = test.batch(0, min(SAMPLES, len(test)), 0)
            held_out, svm = plan.codec.encode(items).flatten(1), judge(plan)
            guided: dict[str, Any] = {"guidance": 1.0} if family == "flow" else {}
            for count in COUNTS:
                x = sample(model, SAMPLES, cond, steps=count, batch=500, **guided).flatten(1)
                line = {"data": data, "family": family, "train_steps": steps, "steps": count}
                line |= {"cpu_s": args.seconds, "energy": energy(x, held_out), "n": SAMPLES}
                if svm is not None:
                    line["label_accuracy"] = float(svm.score(x.numpy(), cond["label"]))
                print(json.dumps({**line, "seed": args.seed, **machine()}), flush=True)


if __name__ == "__main__":
    main()
