"""Tiny random checkpoints as transformers writes them, with a tokenizer that was learnt here."""

from __future__ import annotations

import json

import torch

from genloom.lexicon import learn_pieces

SIZES = {
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 64,
}
LLAMA3 = {
    "rope_type": "llama3",
    "rope_theta": 5e4,
    "factor": 8.0,
    "low_freq_factor": 1.0,
    "high_freq_factor": 4.0,
    "original_max_position_embeddings": 32,
}
KINDS = {
    "llama": ("Llama", {**SIZES, "rope_parameters": LLAMA3, "head_dim": 16}),
    "llama-biased": ("Llama", {**SIZES, "attention_bias": True, "tie_word_embeddings": True}),
    "qwen2": ("Qwen2", {**SIZES, "rms_norm_eps": 1e-5}),
    "qwen3": ("Qwen3", {**SIZES, "head_dim": 16, "tie_word_embeddings": True}),
    "gpt2": ("GPT2", {"n_embd": 32, "n_layer": 2, "n_head": 4, "n_positions": 64}),
}
MARKS = {
    "chatml": ("<|endoftext|>", "<|im_start|>", "<|im_end|>"),
    "llama3": (
        *("<|begin_of_text|>", "<|end_of_text|>", "<|start_header_id|>", "<|end_header_id|>"),
        "<|eot_id|>",
    ),
    "zephyr": ("<s>", "</s>"),
    "plain": ("<|endoftext|>",),
}
EDGES = {  # bos and eos
    "chatml": (None, ["<|im_end|>", "<|endoftext|>"]),
    "llama3": ("<|begin_of_text|>", ["<|end_of_text|>", "<|eot_id|>"]),
    "zephyr": ("<s>", ["</s>"]),
    "plain": ("<|endoftext|>", ["<|endoftext|>"]),
}
UNUSED = 3  # numbers beyond those of the tokenizer


def rules(form: str = "plain") -> str:
    """A tokenizer.json."""
    from tokenizers import AddedToken, Tokenizer

    made = Tokenizer.from_str(learn_pieces(["how are you, what is it? " * 20] * 3, 280))
    made.add_special_tokens([AddedToken(name, special=True) for name in MARKS[form]])
    return made.to_str()


def write(folder, kind: str = "llama", form: str = "plain"):
    """Fill a folder; gives the model of transformers, with weights of some size."""
    import transformers
    from tokenizers import Tokenizer

    folder.mkdir(parents=True)
    tokenizer = Tokenizer.from_str(rules(form))
    (folder / "tokenizer.json").write_text(tokenizer.to_str())
    bos, eos = EDGES[form]
    ends = [tokenizer.token_to_id(name) for name in eos]
    edges = {
        "bos_token_id": bos and tokenizer.token_to_id(bos),
        "eos_token_id": ends[0] if len(ends) == 1 else ends,
        "vocab_size": tokenizer.get_vocab_size() + UNUSED,
    }
    family, options = KINDS[kind]
    config = getattr(transformers, f"{family}Config")(**options, **edges)
    name = f"{family}LMHeadModel" if family == "GPT2" else f"{family}ForCausalLM"
    torch.manual_seed(0)
    model = getattr(transformers, name)(config).eval()
    for p in model.parameters():
        torch.nn.init.normal_(p, 1.0 if p.ndim == 1 else 0.0, 0.2)
    model.save_pretrained(folder)
    settings = {"eos_token": eos[0], **({"bos_token": bos} if bos else {})}
    if form == "zephyr":
        settings["chat_template"] = "{{ '<|assistant|>' }}"
    (folder / "tokenizer_config.json").write_text(json.dumps(settings))
    return model
