"""Polyphonic music: nats per frame of 88 keys on the JSB chorales and the Nottingham tunes.

The protocol is that of Boulanger-Lewandowski et al., 2012 (arXiv:1206.6392) as Bai et al., 2018
(arXiv:1803.01271) measure it: binary piano rolls, the sum over 88 keys of the nats of a frame given
those before it, averaged over all frames of the test part but the first of each piece (4,648 of the
4,725 of JSB); figures over all frames stand beside it. Here a model also says ahead of each frame
whether the piece is over. That is counted apart: anchors are without it.

JSB is the quarter-note file with its own parts (229, 76 and 77 pieces). The pickles of Nottingham
are not at hand: it is MIDI files as eighth notes, of ten tunes in the order of their names one for
validation and one for the test; a tune that another part has already is left out there, but many
have near twins elsewhere. So its figures are comparable in kind only.

Training is plain: Adam with weight decay, whole pieces of like length in batches, a rate that falls
to zero at the end of the time, transposition by up to some keys where it is asked for, and of all
epochs the weights that are best on the validation part. The floor is that of keys that are
independent, with their shares in the training part.

    python -m benchmarks.chorales --data jsb --model best --minutes 5
"""

from __future__ import annotations

import argparse
import copy
import json
import math
import time
from typing import Any

import torch
from torch import Tensor

from benchmarks.harness import machine
from benchmarks.shared import data_folder
from genloom.codecs.roll import KEYS, LOWEST, OVER, SPANS, keys_of
from genloom.core import Tokens
from genloom.models.frames import Frames
from genloom.music import chorales, midi

# Nats a frame: Bai et al., 2018, Table 1, of keys that are independent given the past; the one of
# "best" is the TCN. Models whose keys depend on each other, as those of 2012, have less.
ANCHORS = {
    "jsb": {"lstm": 8.45, "gru": 8.43, "rnn": 8.91, "best": 8.10},
    "nottingham": {"lstm": 3.29, "gru": 3.46, "rnn": 4.05, "best": 3.07},
}
POOL = 8  # batches that are sorted by length together
PARTS = ("train", "valid", "test")
Options = dict[str, Any]


def jsb() -> dict[str, list[Tensor]]:
    """The pieces of each part, int64 (T, 88) each."""
    path = data_folder("jsb-chorales") / "jsb-chorales-quarter.json"
    found = chorales.pieces(path.read_bytes())
    return {part: [_keys(piece) for piece in found[part]] for part in PARTS}


def _keys(piece: chorales.Frames) -> Tensor:
    keys = torch.zeros(len(piece), KEYS, dtype=torch.long)
    for row, frame in zip(keys, piece):
        row[[pitch - LOWEST for pitch in frame]] = 1
    return keys


def nottingham() -> dict[str, list[Tensor]]:
    """The same of the folk tunes, a frame an eighth note."""
    found: dict[str, list[Tensor]] = {part: [] for part in PARTS}
    seen: dict[bytes, str] = {}
    for i, path in enumerate(sorted((data_folder("nottingham-midi") / "midi").glob("*.mid"))):
        keys = keys_of(midi.read(path.read_bytes())[0], SPANS["eighth"])
        part = {8: "valid", 9: "test"}.get(i % 10, "train")
        if seen.setdefault(keys.numpy().tobytes(), part) == part:
            found[part].append(keys)
    return found


def batched(pieces: list[Tensor]) -> Tensor:
    """(B, T, 88), filled up with what is over; one frame more than the longest has."""
    x = torch.full((len(pieces), max(map(len, pieces)) + 1, KEYS), OVER)
    for row, piece in zip(x, pieces):
        row[: len(piece)] = piece
    return x


@torch.inference_mode()
def nats(model: Frames, pieces: list[Tensor]) -> dict[str, float]:
    """Nats a frame: as published, over all frames, and over all with what tells the end."""
    model.eval()
    keys, first, ends, frames = 0.0, 0.0, 0.0, sum(map(len, pieces))
    for i in range(0, len(pieces), 16):
        cells, over, _ = model.frame_log_prob(batched(pieces[i : i + 16]), {})
        keys, first = keys - cells.double().sum().item(), first - cells[:, 0].double().sum().item()
        ends -= over.double().sum().item()
    return {
        "nats": (keys - first) / (frames - len(pieces)),
        "all_frames": keys / frames,
        "with_over": (keys + ends) / frames,
    }


def independent(parts: dict[str, list[Tensor]]) -> float:
    """Nats a frame of keys that know nothing of each other or of the past."""
    known = torch.cat(parts["train"]).double()
    p = (known.sum(0) + 0.5) / (len(known) + 1)
    x = torch.cat([piece[1:] for piece in parts["test"]]).double()
    return -(x * p.log() + (1 - x) * (1 - p).log()).sum(1).mean().item()


def transposed(pieces: list[Tensor], most: int) -> list[Tensor]:
    """Each moved by up to so many keys, where no note is lost."""
    shifts = torch.randint(-most, most + 1, (len(pieces),)).tolist()
    moved = [piece.roll(shift, 1) for piece, shift in zip(pieces, shifts)]
    edge = most or 1
    free = [not (p[:, :edge].any() or p[:, -edge:].any()) for p in pieces]
    return [new if ok else old for new, old, ok in zip(moved, pieces, free)]


def batches(pieces: list[Tensor], batch: int) -> list[list[Tensor]]:
    """All pieces once, those of like length together, in an order drawn anew."""
    order = torch.randperm(len(pieces))
    pools = (
        sorted(pool.tolist(), key=lambda i: len(pieces[i])) for pool in order.split(POOL * batch)
    )
    found = [rows for pool in pools for rows in torch.tensor(pool).split(batch)]
    return [[pieces[i] for i in found[b].tolist()] for b in torch.randperm(len(found)).tolist()]


def fit(model: Frames, parts: dict[str, list[Tensor]], minutes: float, how: Options) -> Options:
    """Train until the time is over; the model ends with the weights that were best on `valid`."""
    decayed = [p for p in model.parameters() if p.ndim > 1]
    others = [p for p in model.parameters() if p.ndim <= 1]
    groups = [{"params": decayed, "weight_decay": how["decay"]}, {"params": others}]
    optimizer = torch.optim.AdamW(groups, lr=how["lr"], weight_decay=0)
    model.prepare(batched(parts["train"]), {})
    start, best, kept, epochs = time.perf_counter(), math.inf, copy.deepcopy(model.state_dict()), 0
    best_epoch = 0
    while (gone := (time.perf_counter() - start) / (60 * minutes)) < 1:
        for group in optimizer.param_groups:
            group["lr"] = how["lr"] * (1 - gone)
        model.train()
        for pieces in batches(parts["train"], how["batch"]):
            terms = model.loss(batched(transposed(pieces, how["transpose"])), {})
            optimizer.zero_grad()
            torch.stack(list(terms.values())).sum().backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
        epochs += 1
        if (found := nats(model, parts["valid"])["nats"]) < best:
            best, best_epoch, kept = found, epochs, copy.deepcopy(model.state_dict())
    model.load_state_dict(kept)
    seconds = time.perf_counter() - start
    return {"valid": best, "epochs": epochs, "best_epoch": best_epoch, "seconds": seconds}


def main() -> None:
    parser = argparse.ArgumentParser(description="nats per frame of polyphonic music")
    parser.add_argument("--data", choices=list(ANCHORS), default="jsb")
    parser.add_argument("--model", choices=["lstm", "gru", "rnn", "best"], default="lstm")
    parser.add_argument("--minutes", type=float, default=5)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--width", type=int, default=200)
    parser.add_argument("--hidden", type=int, default=512, help="of the head, for best")
    parser.add_argument("--dropout", type=float, default=0.4)
    parser.add_argument("--lr", type=float, default=4e-3)
    parser.add_argument("--decay", type=float, default=0.1)
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--transpose", type=int, default=0, help="keys, at most")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    torch.manual_seed(args.seed)
    parts = jsb() if args.data == "jsb" else nottingham()
    longest = max(len(piece) for part in PARTS for piece in parts[part])
    model = Frames(
        Tokens((longest + 1, KEYS), OVER + 1, OVER),
        {},
        cell="lstm" if args.model == "best" else args.model,
        width=args.width,
        dropout=args.dropout,
        within=args.model == "best",
        hidden=args.hidden,
    )
    trained = fit(model, parts, args.minutes, vars(args))
    figures = nats(model, parts["test"])
    frames = sum(len(piece) - 1 for piece in parts["test"])
    floor, anchor = independent(parts), ANCHORS[args.data][args.model]
    print(
        f"{args.data}, {args.model}, seed {args.seed}: {figures['nats']:.3f} nats a frame of "
        f"{frames} ({figures['all_frames']:.3f} over all, {figures['with_over']:.3f} with the "
        f"end); independent keys {floor:.2f}; anchor {anchor}; {trained['seconds']:.0f} s"
    )
    about = {"benchmark": "chorales", **vars(args), "anchor": anchor, "independent": floor}
    about |= {"parameters": sum(p.numel() for p in model.parameters()), "frames": frames}
    about |= {"pieces": [len(parts[part]) for part in PARTS]}
    print(json.dumps({**about, **figures, **trained, **machine()}), flush=True)


if __name__ == "__main__":
    main()
