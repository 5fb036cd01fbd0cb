"""MNIST in ten minutes a family: pictures, and label accuracy by a classifier that none has seen.

    python -m benchmarks.mnist flow --minutes 9.5 --out runs/mnist

Trains `recipes/mnist-FAMILY.toml` and judges it on the official test part. Label accuracy must
reach 0.95 for dcgan, cvae and flow, and 0.90 for autoregressive.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path

import torch

from benchmarks.harness import machine
from benchmarks.shared import data_folder
from genloom import runs
from genloom.codecs import grid

BARS = {"dcgan": 0.95, "cvae": 0.95, "flow": 0.95, "autoregressive": 0.90}
RECIPES = Path(__file__).parent.parent / "recipes"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("family")
    parser.add_argument("--minutes", type=float, default=9.5)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--n", type=int, default=1000, help="samples that are judged")
    parser.add_argument("--out", type=Path, default=Path("runs/mnist"))
    parser.add_argument("--set", dest="settings", action="append", default=[])
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    folder = args.out / f"{args.family}-seed{args.seed}"
    began = time.monotonic()
    artifact = runs.train(
        RECIPES / f"mnist-{args.family}.toml",
        data=data_folder("mnist"),
        out=folder,
        settings=args.settings,
        minutes=args.minutes,
        seed=args.seed,
        threads=args.threads,
    )
    trained = time.monotonic() - began
    verdict, _ = runs.judge(folder, n=args.n, progress=print)
    estimates = {e.name: e for e in verdict.estimates}
    tens = artifact.sample(100, label=[i % 10 for i in range(100)])
    picture = grid(tens, artifact.items, columns=10)
    assert picture is not None
    picture.save(folder / "tens.png")
    for e in verdict.estimates:
        print(f"{e.name:18} {e.value:9.4g}  [{e.low:.4g}, {e.high:.4g}]  floor {e.floor}")
    accuracy = estimates.get("label_accuracy")
    record = json.loads((folder / "run.json").read_text())
    line = {
        "family": args.family,
        "seed": args.seed,
        "minutes": round(trained / 60, 2),
        "forecast_minutes": round(record["forecast"]["seconds"] / 60, 2),
        "steps": record["step"],
        "threads": args.threads,
        "n": args.n,
        "label_accuracy": accuracy.value if accuracy else None,
        "interval": [accuracy.low, accuracy.high] if accuracy else None,
        "bar": BARS.get(args.family),
        "sampling_s": verdict.facts["seconds"]["sampling"],
        "estimates": {name: e.value for name, e in estimates.items()},
        **machine(),
    }
    print(json.dumps(line))


if __name__ == "__main__":
    main()
