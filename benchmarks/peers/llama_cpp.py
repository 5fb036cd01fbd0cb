"""llama.cpp, through the wheel xllamacpp, on a Llama of random weights that is written as GGUF."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch
from tests.unit.hub.tiny_checkpoints import KINDS, write

from genloom import artifact
from genloom.hub import gguf

SAID = "how are you, what is it? how are you, what"  # some 16 tokens


def llama_cpp(sizes: dict[str, int], tokens: int, top_k: int) -> tuple[int, Callable[[], int]]:
    """How many parameters it has, and a call that draws so many tokens and tells their number.

    Args:
        sizes: Of the Llama, as transformers names them. Its vocabulary is that of a small BPE,
            for llama.cpp needs a tokenizer.
        tokens: How many to draw after the prompt, which is read anew.
        top_k: Of what is drawn.
    """
    xllamacpp: Any = importlib.import_module("xllamacpp")

    params = xllamacpp.CommonParams()
    with TemporaryDirectory() as name:
        folder = Path(name)
        KINDS["raced"] = ("Llama", sizes)
        write(folder / "model", "raced")
        found = artifact.load(folder / "model", device="cpu")
        (path,) = gguf.save(found, folder / "model.gguf")
        params.model.path, params.n_ctx = str(path), sizes["max_position_embeddings"]
        params.n_parallel, params.cpuparams.n_threads = 1, torch.get_num_threads()
        params.warmup, params.verbosity = False, -1
        server = xllamacpp.Server(params)
    asked = {"prompt": SAID, "temperature": 1, "top_k": top_k, "n_predict": tokens, "seed": 0}

    def run() -> int:
        told = server.handle_completions({**asked, "ignore_eos": True, "cache_prompt": False})
        return told["usage"]["completion_tokens"]

    return sum(p.numel() for p in found.model.parameters()), run
