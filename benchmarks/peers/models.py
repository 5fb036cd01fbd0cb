"""The same small models for every server: a Llama and our transformer, one U-Net in two forms."""

from __future__ import annotations

import random
import string
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import nn

from benchmarks.twins import Shape, diffusers_unet, translate
from genloom.artifact import save
from genloom.recipe import resolve

ALPHABET = string.ascii_letters + string.digits + " .\n"
LENGTH, PROMPT, WIDTH, LAYERS, HEADS = 256, 16, 384, 6, 6
UNET = Shape(channels=3, side=32, width=32, levels=3, cap=2, blocks=1, batch=1)


def prompts(count: int, seed: int) -> list[str]:
    """Of 16 letters each."""
    drawn = random.Random(seed)
    return ["".join(drawn.choices(string.ascii_letters, k=PROMPT)) for _ in range(count)]


def make_all(folder: Path) -> tuple[dict[str, Path], dict[str, int]]:
    """All four, with random weights: name -> folder, and name -> parameters.

    Raises:
        AssertionError: Two that are to do the same work do not.
    """
    paths = {name: folder / name for name in ("llama", "words", "ddim", "pictures")}
    sizes = {"llama": make_llama(paths["llama"]), "words": make_words(folder, paths["words"])}
    sizes["ddim"], sizes["pictures"] = make_unets(folder, paths["ddim"], paths["pictures"])
    for a, b in (("llama", "words"), ("ddim", "pictures")):
        assert abs(sizes[a] - sizes[b]) <= 0.02 * sizes[a], sizes
    return paths, sizes


def make_llama(folder: Path) -> int:
    """A Llama of 10.7 M parameters and a tokenizer of characters, as transformers saves them."""
    from tokenizers import Tokenizer, decoders, models
    from transformers import (
        GenerationConfig,
        LlamaConfig,
        LlamaForCausalLM,
        PreTrainedTokenizerFast,
    )

    torch.manual_seed(0)
    pieces = Tokenizer(models.BPE({letter: i for i, letter in enumerate(ALPHABET)}, []))
    pieces.decoder = decoders.Fuse()
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=pieces, clean_up_tokenization_spaces=False)
    config = LlamaConfig(
        vocab_size=len(ALPHABET),
        hidden_size=WIDTH,
        intermediate_size=1024,
        num_hidden_layers=LAYERS,
        num_attention_heads=HEADS,
        num_key_value_heads=HEADS,
        max_position_embeddings=LENGTH,
        tie_word_embeddings=False,
        eos_token_id=None,
        bos_token_id=None,
        pad_token_id=None,
    )
    net = LlamaForCausalLM(config)
    net.generation_config = GenerationConfig(do_sample=True, top_k=0, pad_token_id=0)
    net.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return size_of(net)


def make_words(folder: Path, to: Path) -> int:
    """Our decoder of as many parameters, over the same characters."""
    drawn = random.Random(0)
    text = "".join(drawn.choices(ALPHABET, k=64 * LENGTH)) + ALPHABET
    source = folder / "words.txt"
    source.write_text(text, "utf-8")
    net = {"use": "transformer", "width": WIDTH, "layers": LAYERS, "heads": HEADS}
    data = {"source": str(source), "length": LENGTH}
    plan = planned(data, {"use": "autoregressive", "net": net})
    with torch.no_grad():  # its projections and logits begin at zero
        for p in plan.model.parameters():
            p.add_(0.02 * torch.randn_like(p))
    return save_plan(plan, to)


def make_unets(folder: Path, theirs: Path, ours: Path) -> tuple[int, int]:
    """One U-Net of 1.1 M parameters: as a DDIM pipeline, and in a flow of ours."""
    from diffusers import DDIMPipeline, DDIMScheduler

    torch.manual_seed(0)
    net: Any = diffusers_unet(UNET).eval()
    DDIMPipeline(unet=net, scheduler=DDIMScheduler()).save_pretrained(theirs)
    drawn = np.random.default_rng(0)
    source = folder / "noise"
    source.mkdir()
    for i in range(64):
        pixels = drawn.integers(0, 256, (UNET.side, UNET.side, UNET.channels), dtype=np.uint8)
        Image.fromarray(pixels).save(source / f"{i}.png")
    unet = {
        "use": "unet", "width": UNET.width, "levels": UNET.levels, "cap": UNET.cap,
        "blocks": UNET.blocks, "attend": UNET.levels - 1, "head": 8, "stem": 1, "groups": 32,
        "modulate": "add", "balance": 1.0, "high": 1.0, "low": 1e-4,
    }  # fmt: skip
    plan = planned({"source": str(source)}, {"use": "flow", "net": unet})
    plan.model.net.load_state_dict(translate(net.state_dict(), UNET))
    x, t = torch.randn(2, UNET.channels, UNET.side, UNET.side), torch.tensor([10.0, 500.0])
    with torch.inference_mode():
        wanted, found = net(x, t).sample, plan.model.eval().net(x, t, {})
    assert torch.allclose(wanted, found, atol=1e-4), "the two U-Nets differ"
    return size_of(net), save_plan(plan, ours)


def planned(data: dict[str, Any], model: dict[str, Any]) -> Any:
    """A recipe's parts, with random weights."""
    torch.manual_seed(0)
    return resolve({"data": data, "model": model, "train": {"steps": 1}})


def save_plan(plan: Any, to: Path) -> int:
    """The artifact; how many parameters its net has."""
    told = {"name": to.name, "fingerprint": plan.dataset.fingerprint}
    items = plan.dataset.items
    save(to, model=plan.model, recipe=plan.recipe, items=items, card={"data": told})
    return size_of(plan.model)


def size_of(net: nn.Module) -> int:
    """Its parameters."""
    return sum(p.numel() for p in net.parameters())
