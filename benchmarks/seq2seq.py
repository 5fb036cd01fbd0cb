"""Prompts and answers: an encoder-decoder beside a decoder, on prompts that neither has seen.

Three tasks. `numbers`: English number words to digits, "three hundred and twelve" -> "312", made by
rule from 0 to 9,999. `dates`: dates in seven spellings to ISO 8601, made by rule from 1900 to 2099.
`couplets`: the first half of a line of a Tang poem -> the second half, from the shared data. Both
families learn the answers alone, as their recipes have it, for the same minutes; answers are the
likeliest tokens. Told are the share of exact answers with its 95 % interval (Wilson, 1927) and the
exact nats a character of the true answers, ends included. Beside them what needs no model: the
prompt itself, the answer of the nearest prompt of the training part (by pairs of characters), and
for nats a bigram law of the answers, interpolated with the unigram and the uniform one.

    python -m benchmarks.seq2seq --task numbers --minutes 5
"""

from __future__ import annotations

import argparse
import calendar
import json
import math
import random
import tempfile
import zlib
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, cast

import torch
from torch import Tensor

from benchmarks.harness import machine
from benchmarks.shared import data_folder
from genloom import artifact
from genloom.core import Rng
from genloom.lexicon import ASKED, Lexicon
from genloom.models.autoregressive import Autoregressive
from genloom.recipe import resolve
from genloom.sampling import evaluating
from genloom.trainer import train

Pair = tuple[str, str]
"""A prompt and its answer."""

FAMILIES = {"seq2seq": {}, "autoregressive": {"learned": "answers"}}
HELD_OUT, VALID = 0.1, 0.05  # shares of the pairs
MOST = 500  # held-out pairs that are judged
BINS = 4096  # of pairs of characters
UNITS = (
    *("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten"),
    *("eleven", "twelve", "thirteen", "fourteen", "fifteen", "sixteen", "seventeen", "eighteen"),
    "nineteen",
)
TENS = ("twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety")


def words(n: int) -> str:
    """A number below 10,000 in British English words."""
    if n < 20:
        return UNITS[n]
    if n < 100:
        return TENS[n // 10 - 2] + (f"-{UNITS[n % 10]}" if n % 10 else "")
    size, name = (1000, "thousand") if n >= 1000 else (100, "hundred")
    rest = n % size
    joint = " and " if rest < 100 else " "
    return f"{words(n // size)} {name}" + (joint + words(rest) if rest else "")


def numbers(_: random.Random) -> Iterator[Pair]:
    """All of them."""
    return ((words(n), str(n)) for n in range(10_000))


def dates(draw: random.Random) -> Iterator[Pair]:
    """20,000 days, each in one of seven spellings."""
    for _ in range(20_000):
        year, month, day = draw.randint(1900, 2099), draw.randint(1, 12), draw.randint(1, 28)
        name = calendar.month_name[month]
        spelt = (
            f"{day} {name} {year}",
            f"{name} {day}, {year}",
            f"{day}.{month}.{year}",
            f"{month}/{day}/{year}",
            f"{name[:3]} {day} {year}",
            f"{day:02}-{name[:3].upper()}-{year}",
            f"{year} {name} {day}",
        )
        yield draw.choice(spelt), f"{year}-{month:02}-{day:02}"


def couplets(_: random.Random) -> Iterator[Pair]:
    """Lines of two halves of the same length."""
    for path in sorted(data_folder("tang-poems").glob("poet.tang.*.json")):
        for poem in json.loads(path.read_text("utf-8")):
            for line in poem["paragraphs"]:
                first, _, second = line.rstrip("。").partition("，")
                if len(first) == len(second) > 0:
                    yield first, second


TASKS: dict[str, Callable[[random.Random], Iterator[Pair]]] = {
    "numbers": numbers,
    "dates": dates,
    "couplets": couplets,
}


def parted(pairs: Iterator[Pair], draw: random.Random) -> dict[str, list[Pair]]:
    """Train, valid and test: no prompt is in two of them, and no letter in the last alone."""
    found = list(dict(pairs).items())
    draw.shuffle(found)
    held, valid = (int(share * len(found)) for share in (HELD_OUT, VALID))
    train = found[held + valid :]
    known = {letter for pair in train for text in pair for letter in text}
    test = [pair for pair in found[:held] if known.issuperset("".join(pair))]
    return {"test": test[:MOST], "valid": found[held : held + valid], "train": train}


def written(parts: dict[str, list[Pair]], path: Path) -> int:
    """The training and valid parts as a file of rows; the length that holds all documents."""
    rows = [
        {"prompt": a, "completion": b, "split": split}
        for split in ("train", "valid")
        for a, b in parts[split]
    ]
    path.write_text("\n".join(map(json.dumps, rows)) + "\n", encoding="utf-8")
    return 3 + max(len(a) + len(b) for part in parts.values() for a, b in part)


def asked(lexicon: Lexicon, prompt: str) -> list[int]:
    """What a model is given: the prompt, and the mark of an answer."""
    return [*lexicon.opening("user"), *lexicon.encode(prompt), *lexicon.opening(ASKED)]


def answered(made: artifact.Artifact, prompts: Sequence[str]) -> list[str]:
    """The likeliest answers, token by token; prompts of one length at once."""
    model, lexicon = cast(Autoregressive, made.model), made.items.lexicon
    assert lexicon is not None
    alike: dict[int, list[int]] = defaultdict(list)
    given = [asked(lexicon, prompt) for prompt in prompts]
    for i, one in enumerate(given):
        alike[len(one)].append(i)
    found = [""] * len(prompts)
    for known, members in alike.items():
        rows = torch.tensor([given[i] for i in members])
        *_, x = model.complete(Rng(members), {}, rows, temperature=0.0)
        for i, row in zip(members, x.tolist(), strict=True):
            found[i] = lexicon.decode(row[known:])
    return found


def nats(made: artifact.Artifact, pairs: Sequence[Pair]) -> float:
    """Of the true answers with their ends, a character."""
    model, lexicon = cast(Autoregressive, made.model), made.items.lexicon
    assert lexicon is not None and lexicon.end is not None
    x = torch.full((len(pairs), model.length), lexicon.end)
    wanted = torch.zeros(x.shape, dtype=torch.bool)
    for row, part, (prompt, answer) in zip(x, wanted, pairs, strict=True):
        given = asked(lexicon, prompt)
        whole = torch.tensor([*given, *lexicon.encode(answer), lexicon.end])
        row[: len(whole)] = whole
        part[len(given) : len(whole)] = True
    each = torch.cat([model.token_log_prob(rows, {}) for rows in x.split(128)])
    return -each[wanted].double().sum().item() / sum(len(answer) for _, answer in pairs)


def nearest(train: Sequence[Pair], prompts: Sequence[str]) -> list[str]:
    """Answers of the training prompts that share most pairs of characters."""
    theirs = _counts(prompts)
    best, index = torch.full((len(prompts),), -1.0), torch.zeros(len(prompts), dtype=torch.long)
    for start in range(0, len(train), 1024):
        near = (theirs @ _counts([a for a, _ in train[start : start + 1024]]).T).max(1)
        index = torch.where(near.values > best, near.indices + start, index)
        best = best.maximum(near.values)
    return [train[i][1] for i in index.tolist()]


def _counts(texts: Sequence[str]) -> Tensor:
    """Pairs of characters in bins, of unit length: (n, BINS)."""
    table = torch.zeros(len(texts), BINS)
    for row, text in zip(table, texts, strict=True):
        for gram in zip(text, text[1:] or " ", strict=False):
            row[zlib.crc32("".join(gram).encode()) % BINS] += 1
    return table / table.norm(dim=1, keepdim=True)


def bigram(train: Sequence[Pair], test: Sequence[Pair]) -> float:
    """Nats a character of the answers, ends included, by what stands before each."""
    ones, twos, before = Counter[str](), Counter[str](), Counter[str]()
    for _, answer in train:
        for a, b in zip(f"\n{answer}", f"{answer}\n", strict=True):
            ones[b] += 1
            twos[a + b] += 1
            before[a] += 1
    total, kinds = sum(ones.values()), len(ones) + 1

    def share(a: str, b: str) -> float:
        one = 0.99 * ones[b] / total + 0.01 / kinds
        return (twos[a + b] + 10 * one) / (before[a] + 10)

    cost = sum(
        -math.log(share(a, b))
        for _, answer in test
        for a, b in zip(f"\n{answer}", f"{answer}\n", strict=True)
    )
    return cost / sum(len(answer) for _, answer in test)


def exact(said: Sequence[str], pairs: Sequence[Pair]) -> dict[str, Any]:
    """The share of right answers, and its interval."""
    n, z = len(pairs), 1.96
    p = sum(one == answer for one, (_, answer) in zip(said, pairs, strict=True)) / n
    middle, half = p + z**2 / 2 / n, z * math.sqrt(p * (1 - p) / n + z**2 / 4 / n**2)
    low, high = ((middle + side * half) / (1 + z**2 / n) for side in (-1, 1))
    return {"exact": round(p, 4), "interval": [round(low, 4), round(high, 4)]}


def learned(
    family: str, data: Path, length: int, folder: Path, options: dict[str, Any]
) -> artifact.Artifact:
    """A model of the library, trained as its users train it."""
    recipe = {
        "data": {"source": str(data), "length": length, "tokenizer": "letters", "test": 0.0},
        "model": {"use": family, **FAMILIES[family]},
        "train": {"preview_every": 10**6, **options},
    }
    train(resolve(recipe), folder, quiet=True)
    return artifact.load(folder)


def judged(made: artifact.Artifact, test: Sequence[Pair]) -> dict[str, Any]:
    """Of one model; the first answers are told."""
    with evaluating(made.model), torch.inference_mode():
        said = answered(made, [prompt for prompt, _ in test])
        cost = nats(made, test)
    count = sum(p.numel() for p in made.model.parameters())
    some = [[*pair, one] for pair, one in list(zip(test, said, strict=True))[:3]]
    return {**exact(said, test), "nats": round(cost, 4), "parameters": count, "first": some}


def main() -> None:
    parser = argparse.ArgumentParser(description="prompts and answers")
    parser.add_argument("--task", choices=TASKS, default="numbers")
    parser.add_argument("--minutes", type=float, default=5.0)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=1)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    draw = random.Random(args.seed)
    parts = parted(TASKS[args.task](draw), draw)
    test, known = parts["test"], parts["train"]
    prompts = [prompt for prompt, _ in test]
    figures: dict[str, Any] = {
        "copy": exact(prompts, test),
        "nearest": exact(nearest(known, prompts), test),
        "bigram": {"nats": round(bigram(known, test), 4)},
    }
    options = {"minutes": args.minutes, "seed": args.seed, "threads": args.threads}
    with tempfile.TemporaryDirectory() as scratch:
        data = Path(scratch, "pairs.jsonl")
        length = written(parts, data)
        for family in FAMILIES:
            made = learned(family, data, length, Path(scratch, family), options)
            state = json.loads(Path(scratch, family, "run.json").read_text("utf-8"))
            figures[family] = {**judged(made, test), "steps": state["step"]}
            print(f"{args.task}, {family}: {figures[family]}", flush=True)
    about = {"benchmark": "seq2seq", "task": args.task, "n": len(test), "known": len(known)}
    print(json.dumps({**about, **options, "length": length, **figures, **machine()}))


if __name__ == "__main__":
    main()
