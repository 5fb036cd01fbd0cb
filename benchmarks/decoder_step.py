"""One training step of a decoder: genloom's transformer against transformers and x-transformers.

The nano shape: 4 layers, 4 heads, 128 wide, 64 positions, batch 12, 65 characters; about 0.8 M
parameters each, equal within 2 %. A step is forward, cross entropy, backward, gradient norm clipped
to 1.0, AdamW as the side's users write it. x-transformers runs twice: as it comes (learned
positions, layer norm, GELU) and with rotary positions and RMS norm, as genloom has them. genloom
computes normed queries and keys and capped logits besides. It runs with AdamW, like the others,
and with Muon, its default.

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

from benchmarks.harness import arguments, race, report
from genloom.core import Tokens
from genloom.nets.transformer import Transformer
from genloom.optim import build

VOCAB, LENGTH, BATCH, WIDTH, LAYERS, HEADS = 65, 64, 12, 128, 4, 4
STEPS = 5  # in one call of a side

Forward = Callable[[Tensor], Tensor]


def ours() -> tuple[nn.Module, Forward]:
    net = Transformer(Tokens((LENGTH,), VOCAB), {}, width=WIDTH, layers=LAYERS, heads=HEADS)
    return net, lambda tokens: net(tokens, {})


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


def main() -> None:
    args = arguments("training step of a small decoder")
    made = {
        "llama": step(llama, "torch", args.seed),
        "x_transformers": step(partial(x_transformers, modern=False), "torch", args.seed),
        "x_transformers_rotary": step(partial(x_transformers, modern=True), "torch", args.seed),
        "genloom": step(ours, "adamw", args.seed),
        "genloom_muon": step(ours, "muon", args.seed),
    }
    sizes = {name: size for name, (_, size) in made.items()}
    assert max(sizes.values()) <= 1.02 * min(sizes.values()), sizes
    facts = {"parameters": sizes, "seed": args.seed, "shape": [BATCH, LENGTH, WIDTH, LAYERS, HEADS]}
    facts |= {name: version(name) for name in ("transformers", "x-transformers")}
    result = race(
        {name: run for name, (run, _) in made.items()},
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
