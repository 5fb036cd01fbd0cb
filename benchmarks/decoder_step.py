"""One training step of a decoder: genloom's transformer against transformers and x-transformers.

The nano shape: 4 layers, 4 heads, 128 wide, 64 positions, batch 12; about 0.8 M parameters. Six: 6
layers, 6 heads, 384 wide, 256 positions, batch 2; about 10.7 M. Both read 65 characters, and the
sides have equal parameters within 2 %. A step is forward, cross entropy, backward, gradient norm
clipped to 1.0, AdamW as the side's users write it. x-transformers runs twice: as it comes (learned
positions, layer norm, GELU) and with rotary positions and RMS norm, as genloom has them. genloom
computes normed queries and keys and capped logits besides. It runs with AdamW, like the others,
and with Muon, its default. `bare` is what a careful loop can reach: GPT-2's layers without biases
and dropout, one matrix for queries, keys and values, fused AdamW.

    python -m benchmarks.decoder_step --rounds 25
    python -m benchmarks.decoder_step --shape six
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import astuple, dataclass, replace
from functools import partial
from importlib.metadata import version
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from benchmarks.harness import chosen, contest, parser, report
from genloom.core import Tokens
from genloom.nets.transformer import Transformer
from genloom.optim import build

VOCAB = 65

Forward = Callable[[Tensor], Tensor]
Optimizer = Literal["torch", "adamw", "muon"]


@dataclass(frozen=True)
class Shape:
    """Of a decoder and its batch; `hidden` is what Llama's layers widen to, `steps` a call's."""

    length: int
    batch: int
    width: int
    layers: int
    heads: int
    hidden: int
    steps: int


SHAPES = {"nano": Shape(64, 12, 128, 4, 4, 344, 5), "six": Shape(256, 2, 384, 6, 6, 1024, 1)}


def ours(shape: Shape) -> tuple[nn.Module, Forward]:
    space, width, layers = Tokens((shape.length,), VOCAB), shape.width, shape.layers
    net = Transformer(space, {}, width=width, layers=layers, heads=shape.heads)
    return net, lambda tokens: net(tokens, {})


class BareBlock(nn.Module):
    """Layer norm, attention, layer norm, GELU."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.norm1, self.norm2 = nn.LayerNorm(width, bias=False), nn.LayerNorm(width, bias=False)
        self.qkv = nn.Linear(width, 3 * width, bias=False)
        self.out = nn.Linear(width, width, bias=False)
        self.up = nn.Linear(width, 4 * width, bias=False)
        self.down = nn.Linear(4 * width, width, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """(B, L, D) -> the same."""
        qkv = self.qkv(self.norm1(x)).unflatten(-1, (3, self.heads, -1)).permute(2, 0, 3, 1, 4)
        y = F.scaled_dot_product_attention(*qkv, is_causal=True)
        x = x + self.out(y.transpose(1, 2).flatten(2))
        return x + self.down(F.gelu(self.up(self.norm2(x)), approximate="tanh"))


class Bare(nn.Module):
    """GPT-2's decoder, as few calls as it takes."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        width = shape.width
        self.embed, self.places = nn.Embedding(VOCAB, width), nn.Embedding(shape.length, width)
        self.blocks = nn.Sequential(*(BareBlock(width, shape.heads) for _ in range(shape.layers)))
        self.norm, self.head = nn.LayerNorm(width, bias=False), nn.Linear(width, VOCAB, bias=False)

    def forward(self, tokens: Tensor) -> Tensor:
        """(B, L) -> (B, L, V)."""
        return self.head(self.norm(self.blocks(self.embed(tokens) + self.places.weight)))


def bare(shape: Shape) -> tuple[nn.Module, Forward]:
    net = Bare(shape)
    return net, net


def llama(shape: Shape) -> tuple[nn.Module, Forward]:
    from transformers import LlamaConfig, LlamaForCausalLM

    net = LlamaForCausalLM(
        LlamaConfig(
            vocab_size=VOCAB,
            hidden_size=shape.width,
            intermediate_size=shape.hidden,
            num_hidden_layers=shape.layers,
            num_attention_heads=shape.heads,
            num_key_value_heads=shape.heads,
            max_position_embeddings=shape.length,
            tie_word_embeddings=False,
            use_cache=False,
        )
    )
    return net, lambda tokens: net(input_ids=tokens).logits


def x_transformers(shape: Shape, *, modern: bool) -> tuple[nn.Module, Forward]:
    from x_transformers import Decoder, TransformerWrapper

    more = {"rotary_pos_emb": True, "use_rmsnorm": True} if modern else {}
    decoder = Decoder(
        dim=shape.width,
        depth=shape.layers,
        heads=shape.heads,
        attn_dim_head=shape.width // shape.heads,
        attn_flash=True,
        ff_no_bias=True,
        **more,
    )
    net = TransformerWrapper(
        num_tokens=VOCAB, max_seq_len=shape.length, attn_layers=decoder, use_abs_pos_emb=not modern
    )
    return net, net


SIDES: dict[str, tuple[Callable[[Shape], tuple[nn.Module, Forward]], Optimizer]] = {
    "llama": (llama, "torch"),
    "x_transformers": (partial(x_transformers, modern=False), "torch"),
    "x_transformers_rotary": (partial(x_transformers, modern=True), "torch"),
    "bare": (bare, "adamw"),
    "genloom": (ours, "adamw"),
    "genloom_muon": (ours, "muon"),
}


def side(name: str, shape: Shape, seed: int) -> tuple[Callable[[], None], int]:
    """A call that trains for some steps, and the count of parameters."""
    make, optimizer = SIDES[name]
    torch.manual_seed(seed)
    net, forward = make(shape)
    weights = list(net.parameters())
    if optimizer == "torch":
        optimizers = [torch.optim.AdamW(weights, lr=1e-3)]
    else:
        optimizers = build(net, name=optimizer, lr=1e-3)
    data = torch.randint(VOCAB, (64, shape.batch, shape.length + 1))
    count = iter(range(10**9))

    def run() -> None:
        for _ in range(shape.steps):
            x = data[next(count) % len(data)]
            logits = forward(x[:, :-1])
            F.cross_entropy(logits.flatten(0, 1), x[:, 1:].flatten()).backward()
            nn.utils.clip_grad_norm_(weights, 1.0)
            for each in optimizers:
                each.step()
                each.zero_grad(set_to_none=True)

    return run, sum(p.numel() for p in weights)


def only_run(name: str, shape: Shape, seed: int) -> Callable[[], None]:
    """The side without its number of parameters."""
    return side(name, shape, seed)[0]


def main() -> None:
    options = parser(__doc__)
    options.add_argument("--shape", choices=list(SHAPES), default="nano")
    args = options.parse_args()
    torch.set_num_threads(args.threads)
    shape = SHAPES[args.shape]
    sizes = {name: side(name, shape, args.seed)[1] for name in SIDES}
    assert max(sizes.values()) <= 1.02 * min(sizes.values()), sizes
    facts = {"parameters": sizes, "shape": astuple(shape)}
    facts |= {name: version(name) for name in ("transformers", "x-transformers")}
    result = contest(
        {name: partial(only_run, name, shape, args.seed) for name in SIDES},
        **chosen(args),
        items=shape.steps * shape.batch * shape.length,
        baseline="llama",
        unit="tokens",
        **facts,
    )
    report(f"decoder step, {args.shape}, ratios to llama", result, args.json)
    report("the same, ratios to x-transformers", replace(result, baseline="x_transformers"))


if __name__ == "__main__":
    main()
