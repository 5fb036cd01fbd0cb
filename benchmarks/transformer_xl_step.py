"""One training step of Transformer-XL: the library's net beside labml-nn's.

4 layers, 4 heads, 128 wide, segments of 64 characters out of 65 with a memory of 64, batches of 8
rows of 256: four segments, each with its own backward pass in their loop, then the gradient's norm
clipped to 1 and one step of AdamW. Their layers take a table of 8,192 distances each; here it is
cut to the 256 that such a segment can have, so that parameters are equal to 9 %. Feed-forward nets
are four times as wide on both sides. Ours reads the row at once, with AdamW as the library builds
it.

    python -m benchmarks.transformer_xl_step --rounds 15
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from unittest.mock import MagicMock

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from benchmarks.harness import arguments, chosen, contest, report
from benchmarks.peers.absent import VISION, stood_in
from genloom.core import Tokens
from genloom.nets.transformer_xl import TransformerXl
from genloom.optim import build

VOCAB, ROW, BATCH, SEGMENT, MEMORY = 65, 256, 8, 64, 64
WIDTH, LAYERS, HEADS = 128, 4, 4
DISTANCES = SEGMENT + MEMORY


class Labml(nn.Module):
    """Its layers between an embedding and a linear map; its own experiment does not import."""

    def __init__(self) -> None:
        super().__init__()
        with stood_in(*VISION):
            from labml_nn.transformers import mha, xl
            from labml_nn.transformers.feed_forward import FeedForward
        vars(mha)["tracker"] = MagicMock()  # a log that its newer part does not have
        layer = xl.TransformerXLLayer(
            d_model=WIDTH,
            self_attn=xl.RelativeMultiHeadAttention(HEADS, WIDTH, 0.0),
            feed_forward=FeedForward(WIDTH, 4 * WIDTH, 0.0),
            dropout_prob=0.0,
        )
        self.embed, self.head = nn.Embedding(VOCAB, WIDTH), nn.Linear(WIDTH, VOCAB)
        self.layers = xl.TransformerXL(layer, LAYERS)
        for part in self.layers.modules():
            if isinstance(part, xl.RelativeMultiHeadAttention):
                sizes = 2 * DISTANCES, HEADS
                vars(part)["P"] = DISTANCES
                part.key_pos_embeddings = nn.Parameter(torch.zeros(*sizes, WIDTH // HEADS))
                part.key_pos_bias = nn.Parameter(torch.zeros(sizes))

    def forward(self, x: Tensor, memory: list[Tensor]) -> tuple[Tensor, list[Tensor]]:
        """(T, B) -> (T, B, V), and what the layers read."""
        known = len(memory[0]) if memory else 0
        seen = torch.ones(len(x), known + len(x), 1, dtype=torch.bool).tril(known)
        found, memory = self.layers(self.embed(x), memory, seen)
        return self.head(found), memory


def by_segments(net: nn.Module, x: Tensor) -> None:
    """Their step's passes: (B, ROW + 1) tokens."""
    memory: list[Tensor] = []
    parts = ROW // SEGMENT
    for read, told in zip(x[:, :-1].split(SEGMENT, 1), x[:, 1:].split(SEGMENT, 1), strict=True):
        logits, memory = net(read.T, memory)
        memory = [m[-MEMORY:].detach() for m in memory]
        (F.cross_entropy(logits.flatten(0, 1), told.T.flatten()) / parts).backward()


def at_once(net: nn.Module, x: Tensor) -> None:
    """Ours."""
    logits = net(x[:, :-1], {})
    F.cross_entropy(logits.flatten(0, 1), x[:, 1:].flatten()).backward()


def ours() -> nn.Module:
    sizes = {"width": WIDTH, "layers": LAYERS, "heads": HEADS}
    return TransformerXl(Tokens((ROW,), VOCAB), {}, **sizes, segment=SEGMENT, memory=MEMORY)


SIDES = {"labml-nn": (Labml, by_segments), "genloom": (ours, at_once)}


def side(name: str, seed: int) -> Callable[[], None]:
    """A call that takes one step."""
    torch.manual_seed(seed)
    make, passes = SIDES[name]
    net = make()
    weights = list(net.parameters())
    plain = [torch.optim.AdamW(weights, lr=1e-3)]
    optimizers = build(net, name="adamw", lr=1e-3) if name == "genloom" else plain
    data = torch.randint(VOCAB, (16, BATCH, ROW + 1))
    count = iter(range(10**9))

    def run() -> None:
        passes(net, data[next(count) % len(data)])
        nn.utils.clip_grad_norm_(weights, 1.0)
        for each in optimizers:
            each.step()
            each.zero_grad(set_to_none=True)

    return run


def main() -> None:
    args = arguments(__doc__)
    sizes = {name: sum(p.numel() for p in make().parameters()) for name, (make, _) in SIDES.items()}
    assert max(sizes.values()) <= 1.1 * min(sizes.values()), sizes
    result = contest(
        {name: partial(side, name, args.seed) for name in SIDES},
        **chosen(args),
        items=BATCH * ROW,
        baseline="labml-nn",
        unit="tokens",
        benchmark="transformer_xl_step",
        parameters=sizes,
        shape=[BATCH, ROW, SEGMENT, MEMORY, WIDTH, LAYERS, HEADS],
    )
    report(f"Transformer-XL step, {sizes}", result, args.json)


if __name__ == "__main__":
    main()
