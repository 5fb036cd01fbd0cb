"""What a memory is worth: nats a character late in long rows, at equal seconds of training.

Transformer-XL (Dai et al., 2019, arXiv:1901.02860) and plain decoders on tiny-shakespeare, or on
the tunes of Nottingham as events, a character each: tunes come back to what they said some 200
events before. Rows of `--length` characters are read by `transformer_xl` in segments with its
memory. The plain decoder comes in two forms: `short` trains on rows of the length that a segment
and its memory have, and `window` on the long rows, each position seeing as many. All three have the
same width, layers and heads, train by the library for the same minutes, and are judged on the same
characters of the last tenth of the file: those of the second half of each long row. `short` reads
these in rows of its own, once side by side, at the cost of the others, so that the first of each
row have little before them, and once overlapping by half, so that each has at least half a row
before it, at twice the cost. The weights are those that sampling uses. Beside each side stands how
much more it takes than `transformer_xl`, with the standard error over long rows of this difference.

    python -m benchmarks.long_context --minutes 10
    python -m benchmarks.long_context --data nottingham --length 1024 --segment 128 --memory 256
"""

from __future__ import annotations

import argparse
import json
import tempfile
from pathlib import Path
from typing import Any, cast

import torch
from torch import Tensor

from benchmarks.harness import machine
from benchmarks.shakespeare import held_out
from benchmarks.shared import data_folder
from genloom import artifact
from genloom.models.autoregressive import Autoregressive
from genloom.music.events import encode
from genloom.music.files import score_of
from genloom.recipe import resolve
from genloom.sampling import evaluating
from genloom.trainer import train

SIDES = ("transformer_xl", "window", "short")
ROWS = 32  # at once


def shakespeare(folder: Path) -> Path:
    """The plays, as they are."""
    return data_folder("tiny-shakespeare") / "input.txt"


def nottingham(folder: Path) -> Path:
    """A file of all tunes, one after the other: each event a character, each tune a line."""
    tunes = [
        encode(score_of(p)).split() for p in sorted(data_folder("nottingham-midi").rglob("*.mid"))
    ]
    number = {word: i for i, word in enumerate(sorted({word for tune in tunes for word in tune}))}
    path = folder / "tunes.txt"
    path.write_text("\n".join("".join(chr(0x4E00 + number[w]) for w in t) for t in tunes), "utf-8")
    return path


DATA = {"shakespeare": shakespeare, "nottingham": nottingham}


def model_of(side: str, shape: dict[str, int], segment: int, memory: int) -> dict[str, Any]:
    """The model's table of a recipe."""
    if side == "transformer_xl":
        return {"use": "transformer_xl", **shape, "segment": segment, "memory": memory}
    window = {"window": segment + memory} if side == "window" else {}
    return {"use": "autoregressive", "net": {"use": "transformer", **shape, **window}}


@torch.inference_mode()
def late(model: Autoregressive, rows: Tensor, parts: int = 1) -> Tensor:
    """Nats of the characters of the second half of rows, (N, L) -> (N, L / 2).

    A model of shorter rows reads windows, of which the last one in so many `parts` is told.
    """
    half, reads = rows.shape[1] // 2, model.length
    if reads == rows.shape[1]:
        return -torch.cat([model.token_log_prob(x, {})[:, half:] for x in rows.split(ROWS)])
    step, told = reads // parts, list[Tensor]()
    for place in range(half, rows.shape[1], step):
        first = min(place + step, rows.shape[1]) - reads
        window = rows[:, first : first + reads]
        found = torch.cat([model.token_log_prob(x, {}) for x in window.split(ROWS)])
        told.append(-found[:, place - first :])
    return torch.cat(told, 1)


def judged(
    made: artifact.Artifact, path: Path, length: int, parts: int = 1
) -> tuple[Tensor, dict[str, Any]]:
    """The mean nats of each row's late characters, of all, and of the quarters of that half."""
    model = cast(Autoregressive, made.model)
    ids = held_out(path, cast(Any, made.items.lexicon).alphabet)
    rows = ids[: len(ids) // length * length].view(-1, length)
    with evaluating(model):
        each = late(model, rows, parts).double()
    quarters = [round(part.mean().item(), 4) for part in each.chunk(4, 1)]
    return each.mean(1), {
        "nats": round(each.mean().item(), 4),
        "error": error(each.mean(1)),
        "quarters": quarters,
        "n": each.numel(),
        "parameters": sum(p.numel() for p in model.parameters()),
    }


def error(rows: Tensor) -> float:
    """Standard error of the mean of rows, which are hardly dependent."""
    return round((rows.std() / len(rows) ** 0.5).item(), 4)


def main() -> None:
    parser = argparse.ArgumentParser(description="what a memory is worth")
    parser.add_argument("--data", choices=list(DATA), default="shakespeare")
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--length", type=int, default=512)
    parser.add_argument("--segment", type=int, default=64)
    parser.add_argument("--memory", type=int, default=64)
    parser.add_argument("--layers", type=int, default=4)
    parser.add_argument("--width", type=int, default=128)
    parser.add_argument("--heads", type=int, default=4)
    parser.add_argument("--tokens", type=int, default=2048, help="of a batch, for all sides")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=1)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    with tempfile.TemporaryDirectory() as scratch:
        figures = compare(args, DATA[args.data](Path(scratch)), Path(scratch))
    print(json.dumps({"benchmark": "long_context", **vars(args), **figures, **machine()}))


def compare(args: argparse.Namespace, path: Path, scratch: Path) -> dict[str, Any]:
    """Train and judge each side."""
    shape = {"width": args.width, "layers": args.layers, "heads": args.heads}
    figures: dict[str, Any] = {}
    nats: dict[str, Tensor] = {}
    for side in SIDES:
        length = args.segment + args.memory if side == "short" else args.length
        recipe = {
            "data": {"source": str(path), "valid": 0.1, "test": 0.0, "length": length},
            "model": model_of(side, shape, args.segment, args.memory),
            "train": {
                "minutes": args.minutes,
                "batch": max(1, args.tokens // length),
                "seed": args.seed,
                "threads": args.threads,
                "preview_every": 10**6,
            },
        }
        folder = scratch / side
        train(resolve(recipe), folder, quiet=True)
        state = json.loads((folder / "run.json").read_text("utf-8"))
        made = artifact.load(folder)
        ways = {side: 1, f"{side}, overlapping": 2} if side == "short" else {side: 1}
        for name, parts in ways.items():
            nats[name], found = judged(made, path, args.length, parts)
            more = nats[name] - nats[SIDES[0]]
            found |= {"more": round(more.mean().item(), 4), "more_error": error(more)}
            figures[name] = {**found, "steps": state["step"]}
            print(f"{name}: {figures[name]}", flush=True)
    return figures


if __name__ == "__main__":
    main()
