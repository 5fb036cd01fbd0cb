"""`genloom export`; nothing heavy is imported until it is called."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from genloom.verbs import show

EXPORT = """\
Write a model in the form of others.

hf: a model of text with the net llama or gpt2 becomes a folder that transformers loads, with
config.json, model.safetensors and tokenizer.json. gguf: one with the net llama becomes a file that
llama.cpp runs. Differences that were learned with model.rank are added to the weights.

examples:
  genloom export runs/talks --out talks-hf
  genloom export runs/talks --format gguf --out talks.gguf
"""


def add_parsers(verb: Any) -> None:
    """Add the verb to the command line."""
    made = verb("export", EXPORT, export)
    made.add_argument("source", metavar="RUN", help="a run, its name, an artifact, a checkpoint")
    made.add_argument("--format", choices=("hf", "gguf"), default="hf", help="(hf)")
    made.add_argument(
        "--out", type=Path, required=True, metavar="PATH", help="a new folder or file"
    )


def export(args: argparse.Namespace) -> None:
    """`genloom export`."""
    from genloom.artifact import load
    from genloom.hub import causal, gguf

    artifact = load(args.source, device="cpu")
    save = causal.save if args.format == "hf" else gguf.save
    files = save(artifact, args.out)
    report = {"files": [str(path) for path in files], "model": artifact.hash}
    show(args, report, "\n".join(map(str, files)))
