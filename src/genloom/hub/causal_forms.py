"""What the config.json and the weights of Llama-, Qwen- and GPT-2-shaped checkpoints mean here."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from genloom.errors import BadInput

Table = dict[str, Any]


class Naming(NamedTuple):
    """How a form calls its weights.

    Args:
        prefix: Before all names but the head's; some files lack it.
        blocks: Before the number of a block.
        parts: Our name -> theirs, of what is in a block or outside.
        turned: Our names of matrices that are stored (inputs, outputs).
        unused: Endings of names that some files hold, and nothing needs.
    """

    prefix: str
    blocks: str
    parts: Mapping[str, str]
    turned: tuple[str, ...] = ()
    unused: tuple[str, ...] = ()

    def theirs(self, name: str) -> str:
        """The name of one of our weights, without the prefix: "blocks.0.q.weight"."""
        found = re.fullmatch(r"(?:blocks\.(\d+)\.)?(\w+)\.(weight|bias)", name)
        assert found is not None, name
        block, part, kind = found.groups()
        place = "" if block is None else f"{self.blocks}.{block}."
        return f"{place}{self.parts[part]}.{kind}"

    def is_turned(self, name: str) -> bool:
        """Whether one of our weights is stored the other way round."""
        *_, part, kind = name.split(".")
        return kind == "weight" and part in self.turned


@dataclass(frozen=True)
class Form:
    """A form of checkpoints.

    Args:
        net: Our name of its net, in the catalog.
        naming: Of its weights.
        read: A config -> the options of the net.
        write: The options of a net, its vocabulary and positions -> a config.
    """

    net: str
    naming: Naming
    read: Callable[[Mapping[str, Any]], Table]
    write: Callable[[Mapping[str, Any], int, int], Table]


def _read_llama(config: Mapping[str, Any]) -> Table:
    kind, width, heads = (
        config[name] for name in ("model_type", "hidden_size", "num_attention_heads")
    )
    _only(config, "hidden_act", "silu", "swish")
    _only(config, "mlp_bias", False)
    _only(config, "pretraining_tp", 1)
    window = config.get("sliding_window") if config.get("use_sliding_window", True) else None
    if window is not None or "sliding_attention" in (config.get("layer_types") or ()):
        raise BadInput(f"sliding_window = {window}: attention in windows is not read.")
    plain = "qkv" if kind == "qwen2" else "none"
    theta, scaling = _turns(config)
    return {
        "width": width,
        "layers": config["num_hidden_layers"],
        "heads": heads,
        "kv_heads": config.get("num_key_value_heads") or heads,
        "head": config.get("head_dim") or (128 if kind == "qwen3" else width // heads),
        "hidden": config["intermediate_size"],
        "theta": theta,
        "scaling": scaling,
        "eps": float(config.get("rms_norm_eps", 1e-6)),
        "biases": "attention" if config.get("attention_bias") else plain,
        "normed": kind == "qwen3",
        "tied": bool(config.get("tie_word_embeddings", False)),
        "positions": config.get("max_position_embeddings", 2048),
    }


def _turns(config: Mapping[str, Any]) -> tuple[float, tuple[float, ...]]:
    """Base and scaling of the rotary positions; two generations of configs tell them."""
    told = config.get("rope_parameters") or config.get("rope_scaling") or {}
    theta = float(told.get("rope_theta") or config.get("rope_theta") or 1e4)
    kind = told.get("rope_type", told.get("type", "default"))
    if kind == "default" and told.get("partial_rotary_factor", 1) == 1:
        return theta, ()
    if kind != "llama3":
        raise BadInput(f"rope_type = {kind!r} with {told}: default (whole) and llama3 are read.")
    first = told.get("original_max_position_embeddings") or config["max_position_embeddings"]
    names = ("factor", "low_freq_factor", "high_freq_factor")
    return theta, (*(float(told[name]) for name in names), float(first))


def _write_llama(net: Mapping[str, Any], vocab: int, positions: int) -> Table:
    heads, width = net["heads"], net["width"]
    kind = "qwen3" if net["normed"] else "qwen2" if net["biases"] == "qkv" else "llama"
    if net["normed"] and net["biases"] == "qkv":
        raise BadInput("biases of queries and normed queries together are in no form of others.")
    factor, low, high, first = net.get("scaling") or (1.0, 1.0, 4.0, positions)
    scaled = {
        "rope_type": "llama3",
        "factor": factor,
        "low_freq_factor": low,
        "high_freq_factor": high,
        "original_max_position_embeddings": int(first),
    }
    return {
        "architectures": [f"{kind.capitalize()}ForCausalLM"],
        "model_type": kind,
        "attention_bias": net["biases"] == "attention",
        "head_dim": net["head"] or width // heads,
        "hidden_act": "silu",
        "hidden_size": width,
        "intermediate_size": net["hidden"],
        "max_position_embeddings": positions,
        "mlp_bias": False,
        "num_attention_heads": heads,
        "num_hidden_layers": net["layers"],
        "num_key_value_heads": net["kv_heads"] or heads,
        "rms_norm_eps": net["eps"],
        "rope_scaling": scaled if net.get("scaling") else None,
        "rope_theta": net["theta"],
        "tie_word_embeddings": net["tied"],
        "vocab_size": vocab,
    }


def _read_gpt2(config: Mapping[str, Any]) -> Table:
    _only(config, "activation_function", "gelu_new", "gelu_pytorch_tanh")
    _only(config, "scale_attn_weights", True)
    _only(config, "scale_attn_by_inverse_layer_idx", False)
    _only(config, "add_cross_attention", False)
    return {
        "width": config["n_embd"],
        "layers": config["n_layer"],
        "heads": config["n_head"],
        "hidden": config.get("n_inner") or 4 * config["n_embd"],
        "eps": float(config.get("layer_norm_epsilon", 1e-5)),
        "tied": bool(config.get("tie_word_embeddings", True)),
        "positions": config.get("n_positions", 1024),
    }


def _write_gpt2(net: Mapping[str, Any], vocab: int, positions: int) -> Table:
    return {
        "architectures": ["GPT2LMHeadModel"],
        "model_type": "gpt2",
        "activation_function": "gelu_new",
        "layer_norm_epsilon": net["eps"],
        "n_embd": net["width"],
        "n_head": net["heads"],
        "n_inner": net["hidden"],
        "n_layer": net["layers"],
        "n_positions": positions,
        "tie_word_embeddings": net["tied"],
        "vocab_size": vocab,
    }


def _only(config: Mapping[str, Any], name: str, *values: Any) -> None:
    """Refuse a config that says something else than what the net does."""
    if config.get(name, values[0]) not in values:
        raise BadInput(f"{name} = {config[name]!r}: {' or '.join(map(repr, values))} is read.")


LLAMA = Form(
    "llama",
    Naming(
        "model.",
        "layers",
        {
            "embed": "embed_tokens",
            "norm": "norm",
            "head": "lm_head",
            "norm1": "input_layernorm",
            "q": "self_attn.q_proj",
            "k": "self_attn.k_proj",
            "v": "self_attn.v_proj",
            "q_norm": "self_attn.q_norm",
            "k_norm": "self_attn.k_norm",
            "out": "self_attn.o_proj",
            "norm2": "post_attention_layernorm",
            "gate": "mlp.gate_proj",
            "up": "mlp.up_proj",
            "down": "mlp.down_proj",
        },
        unused=("rotary_emb.inv_freq",),
    ),
    _read_llama,
    _write_llama,
)
GPT2 = Form(
    "gpt2",
    Naming(
        "transformer.",
        "h",
        {
            "embed": "wte",
            "places": "wpe",
            "norm": "ln_f",
            "head": "lm_head",
            "norm1": "ln_1",
            "qkv": "attn.c_attn",
            "out": "attn.c_proj",
            "norm2": "ln_2",
            "up": "mlp.c_fc",
            "down": "mlp.c_proj",
        },
        turned=("qkv", "out", "up", "down"),
        unused=(".attn.bias", ".attn.masked_bias"),
    ),
    _read_gpt2,
    _write_gpt2,
)
FORMS: Mapping[str, Form] = {  # model_type of a config.json -> its form
    "llama": LLAMA,
    "mistral": LLAMA,
    "qwen2": LLAMA,
    "qwen3": LLAMA,
    "gpt2": GPT2,
}
