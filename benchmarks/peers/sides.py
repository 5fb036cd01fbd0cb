"""Who takes part in a comparison of servers, and what each is sent for the same piece of work."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

import torch

from benchmarks.peers.models import ALPHABET, prompts
from benchmarks.peers.server import Server
from genloom import artifact
from genloom.core import Rng
from genloom.models.autoregressive import Autoregressive
from genloom.sampling import evaluating

OURS = "genloom serve"
TOKENS, STEPS = 64, 16
LONG_TOKENS, LONG_STEPS = 239, 128  # of what is given up
PYTHON = (sys.executable, "-W", "ignore", "-m")
Body = Callable[[int, int], dict[str, Any]]  # (number, length) -> a request


@dataclass(frozen=True)
class Side:
    """A way of asking a server for one kind of work.

    Args:
        server: Whom.
        path: Of the route.
        kind: What is asked for, see `clients.Crowd`.
        body: Makes a request of some length, in tokens or steps.
    """

    server: Server
    path: str
    kind: str
    body: Body

    def order(self, count: int, length: int, *, first: int = 0) -> dict[str, Any]:
        """Requests of one length, with numbers from `first` on."""
        bodies = [self.body(first + i, length) for i in range(count)]
        return {"path": self.path, "kind": self.kind, "bodies": bodies}


@dataclass(frozen=True)
class Work:
    """One comparison.

    Args:
        sides: Name -> server.
        loop: Does as much for a batch in this process: (batch, seed).
        baseline: The side that the others are compared with.
        length: Tokens or steps of a request.
        long: The same of one that is given up.
        items: Of a request, in `unit`.
        unit: What an item is.
    """

    sides: Mapping[str, Side]
    loop: Callable[[int, int], None]
    baseline: str
    length: int
    long: int
    items: int
    unit: str


def text_body(model: str, number: int, tokens: int) -> dict[str, Any]:
    """A completion; the number chooses the prompt."""
    prompt = prompts(1, number)[0]
    return {"model": model, "prompt": prompt, "max_tokens": tokens, "temperature": 1.0}


def our_picture(number: int, steps: int) -> dict[str, Any]:
    """Euler's steps are DDIM's: one evaluation each."""
    return {"model": "pictures", "prompt": "", "seed": number, "steps": steps, "solver": "euler"}


def their_picture(number: int, steps: int) -> dict[str, Any]:
    """For `diffusers_server`."""
    return {"seed": number, "steps": steps}


def our_server(paths: Mapping[str, Path], folder: Path, threads: int) -> Server:
    """One worker, both models, no marks on pictures: the peers have none."""
    models = [f"{name}={paths[name]}" for name in ("words", "pictures")]
    more = ("--no-sign", "--no-labels", "--folder", str(folder / "state"))
    words = (*PYTHON, "genloom", "serve", *models, "--threads", str(threads), *more)
    return Server(words, folder, threads, "/v1/completions", text_body("words", 0, 1))


def tokens_of(paths: Mapping[str, Path], ours: Server, threads: int) -> Work:
    """`transformers serve`, plain and with continuous batching, and ours."""
    path, llama = "/v1/completions", str(paths["llama"])
    theirs = partial(text_body, llama)
    serve = (str(Path(sys.executable).with_name("transformers")), "serve", llama)
    plain = (*serve, "--host", "127.0.0.1", "--device", "cpu", "--dtype", "float32")
    # Left to itself its cache takes 0.6 of the memory; 64 blocks of 256 tokens are plenty here.
    batching = ("--continuous-batching", "--cb-num-blocks", "64")

    def side(words: tuple[str, ...]) -> Side:
        server = Server(words, ours.folder, threads, path, theirs(0, 1))
        return Side(server, path, "text", theirs)

    made = artifact.load(paths["words"], device="cpu").model
    assert isinstance(made, Autoregressive)

    def loop(batch: int, seed: int) -> None:
        given = [[ALPHABET.index(letter) for letter in one] for one in prompts(batch, seed)]
        rng = Rng(range(seed, seed + batch))
        with evaluating(made), torch.inference_mode():
            drawn = list(islice(made.complete(rng, {}, torch.tensor(given)), TOKENS))
        assert len(drawn) == TOKENS

    sides = {
        "transformers serve": side(plain),
        "transformers serve, continuous batching": side((*plain, *batching)),
        OURS: Side(ours, path, "text", partial(text_body, "words")),
    }
    return Work(sides, loop, "transformers serve", TOKENS, LONG_TOKENS, TOKENS, "tokens")


def pictures_of(paths: Mapping[str, Path], ours: Server, threads: int) -> Work:
    """A diffusers pipeline behind FastAPI in its three forms, and ours."""
    sides: dict[str, Side] = {}
    for form in ("lock", "threads", "batches"):
        words = (*PYTHON, "benchmarks.peers.diffusers_server", str(paths["ddim"]))
        words = (*words, "--form", form, "--threads", str(threads))
        server = Server(words, ours.folder, threads, "/generate", their_picture(0, 1))
        sides[f"diffusers, {form}"] = Side(server, "/generate", "png", their_picture)
    sides[OURS] = Side(ours, "/v1/images/generations", "pictures", our_picture)
    made = artifact.load(paths["pictures"], device="cpu")

    def loop(batch: int, seed: int) -> None:
        made.sample(batch, seed=seed, batch=batch, steps=STEPS, solver="euler")

    return Work(sides, loop, "diffusers, lock", STEPS, LONG_STEPS, 1, "pictures")
