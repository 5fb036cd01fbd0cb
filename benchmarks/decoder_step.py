"""One training step of a decoder: genloom's transformer against transformers and x-transformers.

The nano shape: 4 layers, 4 heads, 128 wide, 64 positions, batch 12, 65 characters; about 0.8 M
parameters each, equal within 2 %. A step is forward, cross entropy, backward, gradient norm clipped
to 1.0, AdamW as the side's users write it. x-transformers runs twice: as it comes (learned
positions, layer norm, GELU) and with rotary positions and RMS norm, as genloom has them. genloom
computes normed queries and keys and capped logits besides. It runs with AdamW, like the others,
and with Muon, its default. `bare` is what a careful loop can reach: GPT-2's layers without biases
and dropout, one matrix for queries, keys and values, fused AdamW.

    python -m benchmarks.decoder_step --rounds 25
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from importlib.metadata import version
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from benchmarks.harness import arguments, contest, report
from genloom.core import Tokens
from genloom.nets.transformer import Transformer
from genloom.optim import build

VOCAB, LENGTH, BATCH, WIDTH, LAYERS, HEADS = 65, 64, 12, 128, 4, 4
STEPS = 5  # in one call of a side

Forward = Callable[[Tensor], Tensor]


def ours() -> tuple[nn.Module, Forward]:
    net = Transformer(Tokens((LENGTH,), VOCAB), {}, width=WIDTH, layers=LAYERS, heads=HEADS)
    return net, lambda tokens: net(tokens, {})


class BareBlock(nn.Module):
    """Layer norm, attention, layer norm, GELU."""

    def __init__(self) -> None:
        super().__init__()
        self.norm1, self.norm2 = nn.LayerNorm(WIDTH, bias=False), nn.LayerNorm(WIDTH, bias=False)
        self.qkv = nn.Linear(WIDTH, 3 * WIDTH, bias=False)
        self.out = nn.Linear(WIDTH, WIDTH, bias=False)
        self.up = nn.Linear(WIDTH, 4 * WIDTH, bias=False)
        self.down = nn.Linear(4 * WIDTH, WIDTH, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """(B, L, D) -> the same."""
        qkv = self.qkv(self.norm1(x)).unflatten(-1, (3, HEADS, -1)).permute(2, 0, 3, 1, 4)
        y = F.scaled_dot_product_attention(*qkv, is_causal=True)
        x = x + self.out(y.transpose(1, 2).flatten(2))
        return x + self.down(F.gelu(self.up(self.norm2(x)), approximate="tanh"))


class Bare(nn.Module):
    """GPT-2's decoder, as few calls as it takes."""

    def __init__(self) -> None:
        super().__init__()
        self.embed, self.places = nn.Embedding(VOCAB, WIDTH), nn.Embedding(LENGTH, WIDTH)
        self.blocks = nn.Sequential(*(BareBlock() for _ in range(LAYERS)))
        self.norm, self.head = nn.LayerNorm(WIDTH, bias=False), nn.Linear(WIDTH, VOCAB, bias=False)

    def forward(self, tokens: Tensor) -> Tensor:
        """(B, L) -> (B, L, V)."""
        return self.head(self.norm(self.blocks(self.embed(tokens) + self.places.weight)))


def bare() -> tuple[nn.Module, Forward]:
    net = Bare()
    return net, net


def llama() -> tuple[nn.Module, Forward]:
    from transformers import LlamaConfig, LlamaForCausalLM

    net = LlamaForCausalLM(
        LlamaConfig(
            vocab_size=VOCAB,
            hidden_size=WIDTH,
            intermediate_size=344,
            num_hidden_layers=LAYERS,
            num_attention_heads=HEADS,
            num_key_value_heads=HEADS,
            max_position_embeddings=LENGTH,
            tie_word_embeddings=False,
            use_cache=False,
        )
    )
    return net, lambda tokens: net(input_ids=tokens).logits


def x_transformers(*, modern: bool) -> tuple[nn.Module, Forward]:
    from x_transformers import Decoder, TransformerWrapper

    more = {"rotary_pos_emb": True, "use_rmsnorm": True} if modern else {}
    decoder = Decoder(
        dim=WIDTH,
        depth=LAYERS,
        heads=HEADS,
        attn_dim_head=WIDTH // HEADS,
        attn_flash=True,
        ff_no_bias=True,
        **more,
    )
    net = TransformerWrapper(
        num_tokens=VOCAB, max_seq_len=LENGTH, attn_layers=decoder, use_abs_pos_emb=not modern
    )
    return net, net


def step(
    make: Callable[[], tuple[nn.Module, Forward]],
    optimizer: Literal["torch", "adamw", "muon"],
    seed: int,
) -> tuple[Callable[[], None], int]:
    """A call that trains for STEPS steps, and the count of parameters."""
    torch.manual_seed(seed)
    net, forward = make()
    weights = list(net.parameters())
    if optimizer == "torch":
        optimizers = [torch.optim.AdamW(weights, lr=1e-3)]
    else:
        optimizers = build(net, name=optimizer, lr=1e-3)
    data = torch.randint(VOCAB, (64, BATCH, LENGTH + 1))
    count = iter(range(10**9))

    def run() -> None:
        for _ in range(STEPS):
            x = data[next(count) % len(data)]
            logits = forward(x[:, :-1])
            F.cross_entropy(logits.flatten(0, 1), x[:, 1:].flatten()).backward()
            nn.utils.clip_grad_norm_(weights, 1.0)
            for each in optimizers:
                each.step()
                each.zero_grad(set_to_none=True)

    return run, sum(p.numel() for p in weights)


SIDES = {
    "llama": (llama, "torch"),
    "x_transformers": (partial(x_transformers, modern=False), "torch"),
    "x_transformers_rotary": (partial(x_transformers, modern=True), "torch"),
    "bare": (bare, "adamw"),
    "genloom": (ours, "adamw"),
    "genloom_muon": (ours, "muon"),
}


def side(name: str, seed: int) -> tuple[Callable[[], None], int]:
    """A call that trains for STEPS steps, and the count of parameters."""
    make, optimizer = SIDES[name]
    return step(make, optimizer, seed)


def only_run(name: str, seed: int) -> Callable[[], None]:
    """The side without its number of parameters."""
    return side(name, seed)[0]


def main() -> None:
    args = arguments("training step of a small decoder")
    sizes = {name: side(name, args.seed)[1] for name in SIDES}
    assert max(sizes.values()) <= 1.02 * min(sizes.values()), sizes
    facts = {"parameters": sizes, "seed": args.seed, "shape": [BATCH, LENGTH, WIDTH, LAYERS, HEADS]}
    facts |= {name: version(name) for name in ("transformers", "x-transformers")}
    result = contest(
        {name: partial(only_run, name, args.seed) for name in SIDES},
        apart=args.apart,
        rounds=args.rounds,
        items=STEPS * BATCH * LENGTH,
        baseline="llama",
        unit="tokens",
        clock=args.clock,
        **facts,
    )
    report("decoder step, ratios to llama", result, args.json)
    report("the same, ratios to x-transformers", replace(result, baseline="x_transformers"))


if __name__ == "__main__":
    main()
