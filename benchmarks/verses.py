"""Tang poems: do generated quatrains and octets keep the form?

A family of the library learns the poems of 4 or 8 lines of 5 or of 7 characters, one a document, as
letters. Of its samples it is told how many have that form, lines of one length in couplets, and how
many have 4 or 8 of these; how often even lines rhyme (see `genloom.metrics.verse`: what rhymes is
learnt from the training poems), beside held-out poems and a 5-gram of letters; and how long the
longest run is that a sample shares with a training poem. Some are printed, in the order of their
seeds.

With `--plan` each poem is read after the characters that close its even lines, as a poet chooses
the rhyme before the line. So the rhyme is learnt from characters that stand side by side, and kept
by copying. Form and rhyme are told of the poem alone, the other measures of all that is read.

    python -m benchmarks.verses --minutes 12
    python -m benchmarks.verses --minutes 12 --plan --temperature 1 0.7
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import torch

from benchmarks.harness import machine
from benchmarks.shared import data_folder
from genloom import artifact
from genloom.data import open_dataset
from genloom.data.dataset import Dataset
from genloom.evaluation import Verdict, evaluate
from genloom.metrics.estimate import wilson
from genloom.metrics.verse import closes, lines, verse_form, verse_rhyme
from genloom.recipe import resolve
from genloom.sampling import sample
from genloom.trainer import train

PLAN = "|"  # after the closing characters
MEASURES = ("verse_form", "verse_rhyme", "longest_match", "distinct_4", "bits_per_char")


def poems(folder: Path) -> list[str]:
    """Those of 4 or 8 lines of one length, each once."""
    told = [one for path in sorted(folder.glob("*.json")) for one in json.loads(path.read_text())]
    texts = ("".join(one["paragraphs"]) for one in told)
    return list(dict.fromkeys(text for text in texts if regular(text)))


def regular(text: str) -> bool:
    """Whether it is a quatrain or an octet in form."""
    return len(lines(text)) in (4, 8)


def planned(text: str) -> str:
    """A poem after the characters that close its even lines."""
    return "".join(closes(text)) + PLAN + text


def kept(planned: str) -> bool:
    """Whether a poem has the form, and closes as it was planned."""
    plan, _, text = planned.rpartition(PLAN)
    return regular(text) and "".join(closes(text)) == plan


def share(kept: Iterable[bool], n: int) -> list[float]:
    """Of n, with Wilson's interval."""
    count = sum(kept)
    return [round(v, 4) for v in (count / n, *wilson(count, n))]


def figures(verdict: Verdict) -> dict[str, Any]:
    """Each measure with its interval, its floor and that of the n-gram; or why there is none."""
    found = {estimate.name: estimate for estimate in verdict.estimates}
    told: dict[str, Any] = {}
    for name in MEASURES:
        if (one := found.get(name)) is None:
            told[name] = verdict.refused.get(name)
            continue
        kept = {"value": one.value, "low": one.low, "high": one.high}
        kept |= {"floor": one.floor, "ngram": one.trivial}
        told[name] = {k: None if v is None else round(v, 4) for k, v in kept.items()}
    return told


def main() -> None:
    """Train, judge, and print some."""
    parser = argparse.ArgumentParser(description="Tang poems")
    parser.add_argument("--model", default="autoregressive")
    parser.add_argument("--minutes", type=float, default=12)
    parser.add_argument("--n", type=int, default=300, help="samples, and poems beside them")
    parser.add_argument("--temperature", type=float, nargs="+", default=[1.0])
    parser.add_argument("--dropout", type=float, default=0.2)
    parser.add_argument("--plan", action="store_true", help="the rhyme first")
    parser.add_argument("--shown", type=int, default=12)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=1)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    known = poems(data_folder("tang-poems"))
    with tempfile.TemporaryDirectory() as scratch:
        source, folder = Path(scratch, "poems.txt"), Path(scratch, "run")
        source.write_text("\n".join(map(planned, known) if args.plan else known), "utf-8")
        data = {"source": str(source), "document": "line", "length": 71 if args.plan else 66}
        model = {"use": args.model, "net": {"use": "transformer", "dropout": args.dropout}}
        settings = {"minutes": args.minutes, "seed": args.seed, "threads": args.threads}
        recipe = {"data": data, "model": model}
        recipe["train"] = {**settings, "preview_every": 10**6}
        start = time.perf_counter()
        train(resolve(recipe), folder, quiet=True)
        trained = time.perf_counter() - start
        made, dataset = artifact.load(folder), open_dataset(**data)
        told = {"benchmark": "verses", **vars(args), "poems": len(known)}
        told["steps"] = json.loads((folder / "run.json").read_text("utf-8"))["step"]
        told["parameters"] = sum(p.numel() for p in made.model.parameters())
        for temperature in args.temperature:
            found, texts, seconds = judged(made, dataset, args, temperature)
            for text in texts[: args.shown]:
                print(f"{'+' if regular(text) else '-'} {text}")
            for name, figure in found.items():
                print(f"{temperature:g}: {name}: {figure}")
            told |= {"temperature": temperature, "seconds": {"train": round(trained, 1), **seconds}}
            print(json.dumps({**told, **found, **machine()}), flush=True)


def judged(
    made: artifact.Artifact, dataset: Dataset, args: argparse.Namespace, temperature: float
) -> tuple[dict[str, Any], list[str], dict[str, float]]:
    """Figures of samples at a temperature, these samples without their plans, and seconds."""
    how = {"seed": args.seed, "temperature": temperature}
    verdict = evaluate(made, dataset=dataset, n=args.n, **how)
    items = made.codec.decode(sample(made.model, args.n, **how))
    said = [made.items.read(item) for item in items]
    texts, found = [text.rpartition(PLAN)[2] for text in said], figures(verdict)
    if args.plan:
        learnt = (dataset.items.read(row).rpartition(PLAN)[2] for row in dataset.train.items)
        found["verse_form"] = verse_form(texts).as_dict()
        found["verse_rhyme"] = verse_rhyme(texts, learnt).as_dict()
        found["kept"] = share(map(kept, said), args.n)
    found["regular"] = share(map(regular, texts), args.n)
    return found, texts, verdict.facts["seconds"]


if __name__ == "__main__":
    main()
