"""Sampling tokens with a cache: genloom's decoder against transformers' generate on a Llama.

6 layers, 6 heads, 384 wide, 65 characters, about 10.7 M parameters each, equal within 2 %, random
weights, float32; a prompt of 16 tokens, 64 new ones, top-k 50. Both sides draw every token. At
batch 1 both sides run with int8 weights too: ours by `genloom.int8`, those of the Llama by torch's
dynamic quantization, which makes the inputs int8 as well; and llama.cpp runs a Llama of that shape
in float32, with a vocabulary of some 280, which is 1 % more to read.

    python -m benchmarks.decoding --rounds 9
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from functools import partial
from importlib.metadata import version

import torch
from torch import Tensor, nn

from benchmarks.harness import arguments, race, report
from benchmarks.peers.llama_cpp import llama_cpp
from genloom.core import Rng, Tokens
from genloom.int8 import pack
from genloom.models.autoregressive import Autoregressive
from genloom.nets.transformer import Transformer

VOCAB, WIDTH, LAYERS, HEADS, PROMPT, TOKENS, TOP_K = 65, 384, 6, 6, 16, 64, 50


def ours(*, int8: bool = False) -> tuple[nn.Module, Callable[[Tensor], Tensor]]:
    net = partial(Transformer, width=WIDTH, layers=LAYERS, heads=HEADS)
    model = Autoregressive(Tokens((PROMPT + TOKENS,), VOCAB), {}, net=net).eval()
    if int8:
        pack(model.net)

    @torch.inference_mode()
    def run(prompt: Tensor) -> Tensor:
        rng = Rng(range(len(prompt)))
        return list(model.complete(rng, {}, prompt, top_k=TOP_K))[-1]

    return model, run


SIZES = {
    "hidden_size": WIDTH,
    "intermediate_size": 1024,
    "num_hidden_layers": LAYERS,
    "num_attention_heads": HEADS,
    "num_key_value_heads": HEADS,
    "max_position_embeddings": PROMPT + TOKENS,
}


def llama(*, int8: bool = False) -> tuple[nn.Module, Callable[[Tensor], Tensor]]:
    from transformers import GenerationConfig, LlamaConfig, LlamaForCausalLM

    config = LlamaConfig(
        **SIZES,
        vocab_size=VOCAB,
        tie_word_embeddings=False,
        eos_token_id=None,
        bos_token_id=None,
        pad_token_id=None,
    )
    net = LlamaForCausalLM(config).eval()
    if int8:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # torch announces that it will move this elsewhere
            net = torch.ao.quantization.quantize_dynamic(net, {nn.Linear}, torch.qint8)
    how = GenerationConfig(
        do_sample=True, top_k=TOP_K, max_new_tokens=TOKENS, min_new_tokens=TOKENS, pad_token_id=0
    )

    def run(prompt: Tensor) -> Tensor:
        return net.generate(
            input_ids=prompt, attention_mask=torch.ones_like(prompt), generation_config=how
        )

    return net, run


def main() -> None:
    args = arguments("sampling tokens with a cache")
    torch.manual_seed(args.seed)
    made = {"llama": llama(), "genloom": ours()}
    sizes = {name: sum(p.numel() for p in net.parameters()) for name, (net, _) in made.items()}
    more, raw = llama_cpp(SIZES | {"max_position_embeddings": 128}, TOKENS, TOP_K)
    sizes["llama.cpp"] = more
    assert max(sizes.values()) <= 1.02 * min(sizes.values()), sizes
    assert raw() == TOKENS
    small = {"llama int8": llama(int8=True), "genloom int8": ours(int8=True)}
    for batch in (1, 16):
        prompt = torch.randint(VOCAB, (batch, PROMPT))
        sides = made | small if batch == 1 else made
        for _, run in sides.values():
            assert run(prompt).shape == (batch, PROMPT + TOKENS)
        calls = {name: partial(run, prompt) for name, (_, run) in sides.items()}
        result = race(
            calls | {"llama.cpp": raw} if batch == 1 else calls,
            rounds=args.rounds,
            items=batch * TOKENS,
            baseline="llama",
            unit="tokens",
            clock=args.clock,
            parameters=sizes,
            seed=args.seed,
            batch=batch,
            transformers=version("transformers"),
            xllamacpp=version("xllamacpp"),
        )
        report(f"decoding, batch {batch}", result, args.json)


if __name__ == "__main__":
    main()
