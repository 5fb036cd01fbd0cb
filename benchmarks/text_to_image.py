"""Text to image from nothing: an autoencoder, then a model of its codes given captions, two ways.

"latent flow" is Stable Diffusion's way (a flow of the real codes of a kl_autoencoder, the caption
attended to), "dalle" is DALL-E's (a transformer over the code numbers of a vqvae, after the
caption). Both are judged on captions of held-out pictures: is the caption found among a hundred by
a judge that was trained on the training part (metrics.retrieval), beside the real pictures, beside
what the autoencoder rebuilds of them, beside the same samples with the captions of others, and
beside chance?

    python -m benchmarks.text_to_image --data FOLDER --coder-minutes 0.5 --minutes 1.5
"""

from __future__ import annotations

import argparse
import json
import shutil
import time
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from benchmarks.harness import machine
from benchmarks.shared import data_folder
from genloom import runs
from genloom.artifact import Artifact, load
from genloom.codecs import Latent, grid
from genloom.data import Dataset, open_dataset, open_test
from genloom.data.captions import lines
from genloom.errors import Refused
from genloom.metrics.retrieval import Matcher, matcher, retrieval

WAYS = {
    "latent flow": (
        {"use": "kl_autoencoder"},
        {"use": "flow", "net": {"use": "unet", "stem": 1, "levels": 2, "text_layers": 1}},
        {"guidance": 3.0},
    ),
    "dalle": (
        {"use": "vqvae", "codes": 256, "prior_layers": 1, "prior_width": 16},
        {"use": "autoregressive", "net": {"use": "transformer", "width": 128}},
        {},
    ),
}


def trained(out: Path, recipe: dict[str, Any], minutes: float) -> Artifact:
    """A run of its own, begun anew."""
    shutil.rmtree(out, ignore_errors=True)
    chosen = {"minutes": minutes, "threads": 1, "seed": 0, "alarms": "warn"}
    runs.start({**recipe, "train": chosen}, out=out)
    return load(out)


def judged(judge: Matcher, made: Tensor, ids: Tensor, real: Tensor) -> dict[str, Any]:
    """Name -> value, interval, floor, chance."""
    try:
        found = retrieval(judge, made, ids, real)
    except Refused as refusal:
        return {"refused": str(refusal)}
    return {
        e.name: [round(v, 3) for v in (e.value, e.low, e.high, e.floor or 0, e.trivial or 0)]
        for e in found
    }


def encoding_ms(codec: Latent, dataset: Dataset, batch: int) -> float:
    """Milliseconds that the codec takes to encode a training batch."""
    items = dataset.train.batch(0, batch, 0)[0]
    start = time.perf_counter()
    for _ in range(3):
        codec.encode(items)
    return (time.perf_counter() - start) / 3 * 1e3


def main() -> None:
    """One JSON line a way."""
    asked = argparse.ArgumentParser(description=__doc__)
    asked.add_argument("--data", help="pictures with captions; default: the shared noto-emoji")
    asked.add_argument("--column", default="name_en", help="of the captions")
    asked.add_argument("--size", type=int, default=32)
    asked.add_argument("--coder-minutes", type=float, default=0.5, help="of an autoencoder")
    asked.add_argument("--minutes", type=float, default=1.5, help="of a model of its codes")
    asked.add_argument("--n", type=int, default=256, help="held-out captions")
    asked.add_argument("--out", type=Path, default=Path("runs/text_to_image"))
    args = asked.parse_args()
    torch.set_num_threads(1)
    source = args.data or str(data_folder("noto-emoji"))
    pictures = {"source": source, "size": args.size}  # what an autoencoder learns
    data = {**pictures, "captions": True, "caption_column": args.column}
    dataset = open_dataset(**data)
    held = open_test(dataset)
    rows = torch.arange(min(args.n, len(held)))
    real, ids = held.items[rows], held.given(rows)["caption"]
    texts = [next(iter(lines(held.captions[row])), "") for row in rows.tolist()]
    judge = matcher(dataset.items, dataset.train)
    facts = {"judge": judge.id, "judge_seconds": round(judge.seconds, 1), "n": len(rows)}
    for way, (coder, model, options) in WAYS.items():
        folder = args.out / way.replace(" ", "-")
        first = trained(
            folder / "autoencoder", {"data": pictures, "model": coder}, args.coder_minutes
        )
        codec = {"use": "latent", "autoencoder": str(folder / "autoencoder")}
        recipe = {"data": data, "codec": codec, "model": model}
        second = trained(folder / "model", recipe, args.minutes)
        assert isinstance(second.codec, Latent)
        made = second.sample(len(rows), caption=texts, batch=64, **options)
        rebuilt = second.codec.decode(second.codec.encode(real))
        parts = (real[:32], rebuilt[:32], made[:32])
        tiles = torch.cat([part[i : i + 8] for i in range(0, 32, 8) for part in parts])
        sheet = grid(tiles, dataset.items, columns=8)
        assert sheet is not None
        sheet.save(folder / "real-rebuilt-made.png")
        told = {name: part.card["training"] for name, part in (("coder", first), ("model", second))}
        batch = int(second.recipe["train"]["batch"])
        step = told["model"]["seconds"] / max(told["model"]["steps"], 1)
        figures = {
            "made": judged(judge, made, ids, real),
            "rebuilt": judged(judge, rebuilt, ids, real),
            "captions_of_others": judged(judge, made.roll(1, 0), ids, real),
            "steps": {name: told[name]["steps"] for name in told},
            "seconds": {name: round(told[name]["seconds"], 1) for name in told},
            "encoding_share": round(encoding_ms(second.codec, dataset, batch) / 1e3 / step, 3),
        }
        print(json.dumps({"way": way, **figures, **facts, **machine()}), flush=True)


if __name__ == "__main__":
    main()
