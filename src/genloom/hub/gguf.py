"""A Llama-shaped model as one GGUF file, the form that llama.cpp runs.

Keys and names are those of the GGUF specification (ggml, 2023). In its form "llama" the two
features that turn together lie beside each other, so rows of queries and keys are put in that
order; in its forms of Qwen they lie half a head apart, as they do here and in transformers.
"""

from __future__ import annotations

import copy
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from torch import Tensor

from genloom.artifact import Artifact
from genloom.checkpoint import naming_a_full_disk, sync
from genloom.components import completed
from genloom.errors import BadInput, need
from genloom.hub import causal_text
from genloom.hub.causal_forms import LLAMA
from genloom.hub.causal_text import SETTINGS, TOKENIZER
from genloom.nets import lora
from genloom.nets.llama import rates

OUTSIDE = {"embed": "token_embd", "norm": "output_norm", "head": "output"}
INSIDE = {
    "norm1": "attn_norm",
    "q": "attn_q",
    "k": "attn_k",
    "v": "attn_v",
    "q_norm": "attn_q_norm",
    "k_norm": "attn_k_norm",
    "out": "attn_output",
    "norm2": "ffn_norm",
    "gate": "ffn_gate",
    "up": "ffn_up",
    "down": "ffn_down",
}
FACTORS = "rope_freqs.weight"  # by which each pair of features turns slower
NEVER = "\u00ff"  # the piece of a byte that no UTF-8 holds: it ends a text that has no end
NORMAL, CONTROL, UNUSED = 1, 3, 5  # kinds of pieces
_WORDS = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}%s| ?[^\s\p{L}\p{N}]+[\r\n]*"
    r"|\s*[\r\n]+|\s+(?!\S)|\s+"
)
SPLITS = {  # the expression by which a tokenizer divides texts -> what llama.cpp calls it
    "": "gpt-2",  # that of the byte level itself
    _WORDS % "{1,3}": "llama-bpe",
    _WORDS % "": "qwen2",
}


def save(artifact: Artifact, path: str | Path) -> list[Path]:
    """Write a model as GGUF, in float32; learned differences are merged.

    Args:
        artifact: Its net is a llama, its lexicon a byte-level BPE.
        path: Of the file, which ends in .gguf.

    Returns:
        The file.

    Raises:
        BadInput: It has another net, lexicon or ending, or a form that is not written.
        MissingExtra: gguf is not installed.
    """
    try:
        from gguf import GGUFWriter
    except ImportError as error:
        raise need("gguf", "gguf", "Writing GGUF") from error
    path = Path(path)
    if path.suffix != ".gguf":
        raise BadInput(f"{path} must end in .gguf.")
    table = artifact.recipe["model"].get("net", {})
    if table.get("use") != LLAMA.net or artifact.items.lexicon is None:
        raise BadInput(
            f"{artifact.name} is no model of text with the net {LLAMA.net}: train with "
            f"model.net.use={LLAMA.net}."
        )
    model: Any = artifact.model
    net: Any = lora.merge(copy.deepcopy(model.net)).cpu()
    config = LLAMA.write(completed(table), net.start, net.positions)
    if config["rope_scaling"] and config["model_type"] != "llama":
        raise BadInput(
            f"the form {config['model_type']} of GGUF has no scaled turns: train without "
            "model.net.scaling, or with the form of llama."
        )
    path.parent.mkdir(parents=True, exist_ok=True)
    aside = path.with_name(f".{path.name}.{os.getpid()}")
    with naming_a_full_disk(path.parent):
        writer: Any = GGUFWriter(aside, config["model_type"])
        writer.add_name(artifact.name)
        _add_shape(writer, config, net)
        _add_pieces(writer, artifact, net)
        for name, value in _weights(net, config):
            writer.add_tensor(name, value.float().contiguous().numpy())
        writer.write_header_to_file()
        writer.write_kv_data_to_file()
        writer.write_tensors_to_file()
        writer.close()
        sync(aside)
        aside.replace(path)
    return [path]


def _add_shape(writer: Any, config: dict[str, Any], net: Any) -> None:
    head = net.held[2]
    writer.add_context_length(config["max_position_embeddings"])
    writer.add_embedding_length(config["hidden_size"])
    writer.add_block_count(config["num_hidden_layers"])
    writer.add_feed_forward_length(net.blocks[0].up.out_features)
    writer.add_head_count(config["num_attention_heads"])
    writer.add_head_count_kv(config["num_key_value_heads"])
    writer.add_key_length(head)
    writer.add_value_length(head)
    writer.add_rope_dimension_count(head)
    writer.add_rope_freq_base(config["rope_theta"])
    writer.add_layer_norm_rms_eps(config["rms_norm_eps"])
    writer.add_vocab_size(net.start)
    writer.add_file_type(0)  # all float32


def _add_pieces(writer: Any, artifact: Artifact, net: Any) -> None:
    words = artifact.items.lexicon
    assert words is not None
    files = causal_text.written(words, net.opener)
    rules, settings = (json.loads(files[name]) for name in (TOKENIZER, SETTINGS))
    model = rules["model"]
    split = _split(rules["pre_tokenizer"])
    if model["type"] != "BPE" or split not in SPLITS:
        raise BadInput(
            f"a tokenizer of the kind {model['type']} that divides texts by {split!r} is not "
            "written: byte-level BPE is that divides them as GPT-2, Llama 3 or Qwen 2 does."
        )
    special = {one["id"]: one["content"] for one in rules["added_tokens"]}
    named = {i: piece for piece, i in model["vocab"].items()} | special
    pieces = [named.get(i, f"[unused{i}]") for i in range(net.start)]
    kinds = [
        CONTROL if i in special else NORMAL if i in named else UNUSED for i in range(net.start)
    ]
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre(SPLITS[split])
    writer.add_token_list(pieces)
    writer.add_token_types(kinds)
    writer.add_token_merges([m if isinstance(m, str) else " ".join(m) for m in model["merges"]])
    writer.add_bos_token_id(net.opener)
    never = model["vocab"].get(NEVER, net.opener)
    writer.add_eos_token_id(never if words.end is None else words.end)
    writer.add_add_bos_token(True)
    if (said := causal_text.turn_end(words)) is not None:
        writer.add_eot_token_id(said)
    if "chat_template" in settings:
        writer.add_chat_template(settings["chat_template"])


def _split(told: Any) -> str | None:
    """The expression that divides texts before their bytes are paired; None: it is no such form."""
    match told:
        case {"type": "ByteLevel", "use_regex": True}:
            return ""
        case {
            "type": "Sequence",
            "pretokenizers": [
                {"type": "Split", "pattern": {"Regex": str(found)}},
                {"type": "ByteLevel"},
            ],
        }:
            return found
        case _:
            return None


def _weights(net: Any, config: dict[str, Any]) -> Iterator[tuple[str, Tensor]]:
    beside = config["model_type"] == "llama"
    for name, value in net.state_dict().items():
        *place, part, kind = name.split(".")
        if beside and part in ("q", "k"):
            value = _paired(value, net.held[2])
        there = f"blk.{place[1]}.{INSIDE[part]}" if place else OUTSIDE[part]
        yield f"{there}.{kind}", value
    if scaling := config["rope_scaling"]:
        four = ("factor", "low_freq_factor", "high_freq_factor", "original_max_position_embeddings")
        head, theta = net.held[2], config["rope_theta"]
        slower = rates(head, theta) / rates(head, theta, tuple(scaling[name] for name in four))
        yield FACTORS, slower


def _paired(value: Tensor, head: int) -> Tensor:
    """Rows of queries or keys, whose pairs lie half a head apart, with the pairs side by side."""
    halves = value.unflatten(0, (-1, 2, head // 2))
    return halves.transpose(1, 2).reshape(value.shape)
