"""What could be won by choosing the moving average's width after training.

Post-hoc averages (Karras et al., 2024, arXiv:2312.02696, section 3) give every width from snapshots
of two. Here one run follows several widths at once, which do not touch the training; so the best of
them is the most that a choice afterwards could bring. Frechet distances in the features of the data
set's own extractor, equal seeds and labels; the ratio's interval leaves out groups of samples.
Beside them stands the held-out loss, with equal draws for all, as what a choice could go by.

    python -m benchmarks.averages --model flow --steps 2000
"""

from __future__ import annotations

import argparse
import copy
import json

import torch
from torch import Tensor

from benchmarks.few_steps import batch
from benchmarks.harness import machine
from benchmarks.shared import data_folder
from benchmarks.solver_steps import ratio
from genloom.core import Generative
from genloom.data import open_test
from genloom.learner import Learner
from genloom.metrics.extractor import extractor
from genloom.metrics.frechet import frechet
from genloom.nets.layout import to_channels_last
from genloom.options import TrainOptions
from genloom.pace import average, exponent
from genloom.recipe import Plan, resolve
from genloom.sampling import sample

WIDTHS = (0.01, 0.02, 0.05, 0.10, 0.15, 0.20, 0.25)


def usual_options(plan: Plan, steps: int) -> TrainOptions:
    """Those of the family."""
    return TrainOptions(**{**plan.model.recommended, "steps": steps})


def averaged(plan: Plan, steps: int) -> dict[str, Generative]:
    """The model of one run by name: "last", and with each width of average."""
    to_channels_last(plan.model)
    first = batch(plan, 0, 1024)
    plan.model.prepare(first.x, first.cond)
    options = usual_options(plan, steps)
    learner = Learner(plan.model, options, steps)
    found = {f"{width:.2f}": copy.deepcopy(plan.model).eval() for width in WIDTHS}
    weights = list(plan.model.parameters())
    for index in range(steps):
        learner.step(index, [batch(plan, index, options.batch)])
        with torch.no_grad():
            for width, model in zip(WIDTHS, found.values(), strict=True):
                average(list(model.parameters()), weights, index + 1, exponent(width))
    return {"last": plan.model.eval(), **found}


def main() -> None:
    parser = argparse.ArgumentParser(description="widths of the moving average, afterwards")
    parser.add_argument("--model", default="flow")
    parser.add_argument("--data", default="mnist", help="a folder of the shared data, of pictures")
    parser.add_argument("--steps", type=int, default=2000)
    parser.add_argument("--n", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=1)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    torch.manual_seed(args.seed)
    source = {"source": str(data_folder(args.data)), "seed": args.seed}
    plan = resolve({"data": source, "model": {"use": args.model}})
    models = averaged(plan, args.steps)
    encode = extractor(plan.dataset.items, plan.dataset.train)
    test = open_test(plan.dataset)
    rows = torch.randperm(len(test), generator=torch.Generator().manual_seed(args.seed))[: args.n]
    real, cond = encode(test.items[rows]), {k: v[rows] for k, v in test.cond.items()}

    def features(model: Generative) -> Tensor:
        return encode(plan.codec.decode(sample(model, args.n, cond, seed=args.seed, batch=250)))

    def loss(model: Generative) -> float:
        torch.manual_seed(args.seed)
        with torch.inference_mode():
            terms = [model.loss(real_x[i], {k: v[i] for k, v in cond.items()}) for i in parts]
        return sum(float(sum(found.values())) for found in terms) / len(terms)

    real_x, parts = plan.codec.encode(test.items[rows]), torch.arange(args.n).split(100)
    made = {name: features(model) for name, model in models.items()}
    usual = made[f"{usual_options(plan, args.steps).ema:.2f}"]
    told = {}
    for name, found in made.items():
        value, low, high = ratio(found, usual, real)
        distance = frechet(found, real, id=encode.id, name=name)
        told[name] = {"distance": distance.as_dict(), "ratio": [value, low, high]}
        told[name]["loss"] = loss(models[name])
        print(
            f"{name:6} {distance.value:9.4g}  {value:.3f} [{low:.3f}, {high:.3f}]  "
            f"loss {told[name]['loss']:.6f}",
            flush=True,
        )
    print(json.dumps({"benchmark": "averages", **vars(args), "widths": told, **machine()}))


if __name__ == "__main__":
    main()
