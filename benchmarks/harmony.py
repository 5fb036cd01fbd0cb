"""Harmony: alto, tenor and bass written to the sopranos of Bach's chorales that were held back.

Masked diffusion over grids of voices, trained as `genloom train` does on the sixteenth-note file
of the JSB chorales with its own parts (229, 76 and 77 pieces; Boulanger-Lewandowski et al., 2012,
arXiv:1206.6392), harmonizes the soprano of each test piece as `genloom edit` does. Told is, for
each voice, in which share of the frames where Bach's voice sounds it has his pitch. There are many
good harmonies, so nobody has a share of 1. Beside it stand floors: the voices of another test
piece, the pitch that the voice has most often in the training part, the one that it has most often
under the same soprano, and a draw from what it has there. The last is what a model is to be held
against that draws at temperature 1; the one before it, one that takes what is likeliest
(`--temperature 0`).

What rules of counterpoint say is measured of all of them, and of Bach: the share of pairs of
sounding voices that are a second, a seventh or a tritone apart (octaves left out), and how often in
100 frames two voices that both move stay a fifth or an octave apart.

    python -m benchmarks.harmony --minutes 3
"""

from __future__ import annotations

import argparse
import json
import tempfile
from collections.abc import Sequence
from itertools import combinations
from pathlib import Path

import torch
from torch import Tensor

from benchmarks.harness import machine
from benchmarks.shared import data_folder
from genloom import runs
from genloom.artifact import load
from genloom.codecs.roll import SPANS
from genloom.harmony import harmonize
from genloom.music import chorales
from genloom.music.notes import Score
from genloom.music.voices import grid, pitch_of

VOICES = ("soprano", "alto", "tenor", "bass")
HARSH = torch.tensor([1, 2, 6, 10, 11])  # semitones of a dissonance
PERFECT = torch.tensor([0, 7])
SILENT = -1


def pitches(score: Score, span: int) -> Tensor:
    """The pitch of each of four voices in each frame, -1 where it rests: (4, T)."""
    return pitch_of(grid(score.tracks[:4], span, -(-score.end // span)))


def agreement(written: Sequence[Tensor], true: Sequence[Tensor]) -> list[float]:
    """In which share of the frames where the true voice sounds the other has its pitch, (4,)."""
    same, all_ = torch.zeros(4), torch.zeros(4)
    for ours, his in zip(written, true, strict=True):
        sounds = his != SILENT
        same += ((ours == his) & sounds).sum(1)
        all_ += sounds.sum(1)
    return (same / all_).tolist()


def dissonance(pieces: Sequence[Tensor]) -> float:
    """The share of pairs of sounding voices that are harsh."""
    harsh = pairs = 0
    for piece in pieces:
        for low, high in combinations(piece, 2):
            sound = (low != SILENT) & (high != SILENT)
            apart = (low - high).abs()[sound] % 12
            harsh, pairs = harsh + int(torch.isin(apart, HARSH).sum()), pairs + len(apart)
    return harsh / pairs


def parallels(pieces: Sequence[Tensor]) -> float:
    """Fifths and octaves of two voices that both move and stay so far apart, in 100 frames."""
    found = frames = 0
    for piece in pieces:
        frames += piece.shape[1]
        moves = (piece[:, 1:] != piece[:, :-1]) & (piece[:, 1:] >= 0) & (piece[:, :-1] >= 0)
        for (low, a), (high, b) in combinations(zip(piece, moves, strict=True), 2):
            apart = (low - high).abs() % 12
            kept = (apart[1:] == apart[:-1]) & torch.isin(apart[1:], PERFECT)
            found += int((kept & a & b).sum())
    return 100 * found / frames


def likeliest(train: Sequence[Tensor], pieces: Sequence[Tensor], *, under: bool) -> list[Tensor]:
    """Of each voice its most frequent pitch; with `under`, among the frames of that soprano."""
    table = counts(train)
    usual = table.sum(1).argmax(1)[:, None].expand(table.shape[:2])
    best = (table.argmax(2) if under else usual) - 1
    return [best[:, piece[0] + 1] for piece in pieces]


def drawn(train: Sequence[Tensor], pieces: Sequence[Tensor]) -> list[Tensor]:
    """In each frame a pitch of each voice, as often as it has it under that soprano."""
    table = counts(train)
    rows = (table[:, piece[0] + 1].flatten(0, 1) for piece in pieces)  # (4 T, pitch + 1)
    return [torch.multinomial(row, 1).view(4, -1) - 1 for row in rows]


def counts(train: Sequence[Tensor]) -> Tensor:
    """How often each voice has each pitch under each soprano, (4, soprano + 1, pitch + 1)."""
    known, wide = torch.cat(list(train), 1), 129  # -1 to 127
    table = torch.zeros(4, wide, wide)
    ones = torch.ones(known.shape[1])
    for voice, row in zip(table, known):
        voice.index_put_((known[0] + 1, row + 1), ones, accumulate=True)
    return table + 1e-3 * table.sum(1, keepdim=True)  # for sopranos that are new


def of_others(pieces: Sequence[Tensor]) -> list[Tensor]:
    """For each piece the voices of the next one, over and over as far as it lasts."""
    return [
        other[:, torch.arange(piece.shape[1]) % other.shape[1]]
        for piece, other in zip(pieces, [*pieces[1:], pieces[0]], strict=True)
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description="harmony to the sopranos of chorales")
    parser.add_argument("--minutes", type=float, default=3, help="of training")
    parser.add_argument("--span", choices=list(SPANS), default="quarter")
    parser.add_argument("--frames", type=int, default=32, help="of a window")
    parser.add_argument("--length", type=int, default=320, help="words of a training piece")
    parser.add_argument("--transpose", type=int, default=0, help="keys in training, at most")
    parser.add_argument("--pieces", type=int, default=77, help="test pieces")
    parser.add_argument("--steps", type=int, default=32, help="of drawing a window")
    parser.add_argument("--temperature", type=float, default=1.0)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--run", type=Path, help="a run that is there, instead of training one")
    args = parser.parse_args()
    path, span = data_folder("jsb-chorales") / "Jsb16thSeparated.json", SPANS[args.span]
    found = chorales.pieces(path.read_bytes())
    torch.manual_seed(args.seed)
    parts = {part: [chorales.score(piece, 3) for piece in found[part]] for part in found}
    with tempfile.TemporaryDirectory() as folder:
        recipe = {
            "data": {"source": str(path), "length": args.length, "transpose": args.transpose},
            "codec": {"use": "voices", "span": args.span, "frames": args.frames},
            "model": {"use": "mdlm"},
            "train": {"minutes": args.minutes, "seed": args.seed, "threads": 1},
        }
        if args.run is None:
            runs.train(recipe, out=Path(folder) / "run", quiet=True)
        artifact = load(args.run or Path(folder) / "run")
    how = {"steps": args.steps, "temperature": args.temperature}
    test, made = parts["test"][: args.pieces], []
    for i, score in enumerate(test):
        (harmony,) = harmonize(artifact, score, [args.seed + i], keep=[0], **how)
        assert harmony.tracks[0] == score.tracks[0], i
        made.append(pitches(harmony, span))
    true = [pitches(score, span) for score in test]
    train = [pitches(score, span) for score in parts["train"]]
    rows = {
        "model": made,
        "another piece": of_others(true),
        "most frequent": likeliest(train, true, under=False),
        "under the soprano": likeliest(train, true, under=True),
        "drawn there": drawn(train, true),
        "Bach": true,
    }
    figures = {}
    for name, some in rows.items():
        shares = dict(zip(VOICES[1:], agreement(some, true)[1:], strict=True))
        harsh, kept = dissonance(some), parallels(some)
        figures[name] = {**shares, "dissonance": harsh, "parallels": kept}
        told = ", ".join(f"{voice} {share:.3f}" for voice, share in shares.items())
        print(f"{name:18} {told}; dissonant {harsh:.3f}; parallels {kept:.2f} in 100 frames")
    about = {"benchmark": "harmony", **vars(args), "run": str(args.run), "pieces": len(test)}
    print(json.dumps({**about, "figures": figures, **machine()}), flush=True)


if __name__ == "__main__":
    main()
