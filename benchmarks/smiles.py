"""SMILES and SELFIES: how many samples are molecules, and how these compare to real ones.

A family of the library is trained as its users train it, on the 24,445 molecules of ZINC that are
the validation part of ZINC-250k, on these and 86,334 others of ZINC that were chosen for a high
QED, or on the 133,885 of QM9, by the rules of `genloom.data.molecules` and on parts of its own: 80,
10 and 10 % by a hash of the molecule. Its verdict is made on the test part; beside each figure
stand the same one of as many other unseen molecules (floor), and that of a 5-gram of the training
part. The measures are those of MOSES (arXiv:1811.12823); so are the names. Samples are drawn at
each of some temperatures from one trained model.

    python -m benchmarks.smiles --form smiles --minutes 10
    python -m benchmarks.smiles --model autoregressive --width 128 --dropout 0.1 --temperature 1 0.8
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from pathlib import Path
from typing import Any

import torch

from benchmarks.harness import machine
from benchmarks.shared import data_folder
from genloom import artifact
from genloom.data import open_dataset
from genloom.evaluation import Verdict, evaluate
from genloom.recipe import resolve
from genloom.trainer import train

ZINC, CHOSEN = "zinc250k_jtnn_valid.txt.gz", "zinc_qed_mols.txt.gz"
FILES: dict[str, tuple[list[str], dict[str, Any]]] = {
    "zinc": ([ZINC], {"document": "line"}),
    "zinc-chosen": ([ZINC, CHOSEN], {"document": "line"}),
    "qm9": (["qm9.csv.gz"], {"text_column": "smiles"}),
}
MEASURES = (
    *("validity", "uniqueness", "novelty", "internal_diversity", "snn", "scaffolds"),
    *("qed_w1", "sa_w1", "logp_w1", "weight_w1"),
)


def figures(verdict: Verdict) -> dict[str, Any]:
    """Each measure with its interval, its floor and that of the n-gram; or why there is none."""
    found = {estimate.name: estimate for estimate in verdict.estimates}
    told: dict[str, Any] = {}
    for name in MEASURES:
        if (one := found.get(name)) is None:
            told[name] = verdict.refused[name]
            continue
        kept = {"value": one.value, "low": one.low, "high": one.high}
        kept |= {"floor": one.floor, "ngram": one.trivial}
        told[name] = {k: None if v is None else round(v, 4) for k, v in kept.items()}
        told[name]["n"] = one.n
    return told


def model_of(family: str, net: dict[str, Any]) -> dict[str, Any]:
    """Options of a family for those of its net: of the decoder's net, or of the family itself."""
    if family != "autoregressive" or not net:
        return net
    return {"net": {"use": "transformer", **net}}


def main() -> None:
    parser = argparse.ArgumentParser(description="molecules as strings")
    parser.add_argument("--form", choices=["smiles", "selfies"], default="smiles")
    parser.add_argument("--data", choices=list(FILES), default="zinc")
    parser.add_argument("--model", choices=["lstm", "autoregressive"], default="lstm")
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("--n", type=int, default=1000, help="samples, and molecules beside them")
    parser.add_argument("--temperature", type=float, nargs="+", default=[1.0])
    parser.add_argument("--width", type=int, help="of the net, where it is not the family's own")
    parser.add_argument("--dropout", type=float)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=1)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    files, options = FILES[args.data]
    settings = {"minutes": args.minutes, "seed": args.seed, "threads": args.threads}
    kept = {"width": args.width, "dropout": args.dropout}
    net = {name: value for name, value in kept.items() if value is not None}
    with tempfile.TemporaryDirectory() as scratch:
        folder, source = Path(scratch, "run"), Path(scratch, files[0])
        source.write_bytes(b"".join((data_folder("smiles") / name).read_bytes() for name in files))
        data = {"source": str(source), "tokenizer": args.form, **options}
        recipe = {"data": data, "model": {"use": args.model, **model_of(args.model, net)}}
        recipe["train"] = {**settings, "preview_every": 10**6}
        start = time.perf_counter()
        train(resolve(recipe), folder, quiet=True)
        trained = time.perf_counter() - start
        made, about = artifact.load(folder), {"n": args.n, "seed": args.seed}
        dataset = open_dataset(**data)
        state = json.loads((folder / "run.json").read_text("utf-8"))
        for temperature in args.temperature:
            verdict = evaluate(made, dataset=dataset, temperature=temperature, **about)
            found = figures(verdict)
            for name, figure in found.items():
                print(f"{temperature:g}: {name}: {figure}")
            told = {"benchmark": "smiles", **vars(args), "steps": state["step"]}
            told |= {"temperature": temperature}
            told["parameters"] = sum(p.numel() for p in made.model.parameters())
            told["seconds"] = {"train": round(trained, 1), **verdict.facts["seconds"]}
            print(json.dumps({**told, **found, **machine()}), flush=True)


if __name__ == "__main__":
    main()
