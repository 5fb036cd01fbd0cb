"""Tiny text encoders with random weights, and a tokenizer, as transformers writes them."""

from __future__ import annotations

import torch

WORDS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "a", "red", "green", "blue", "square", "##s"]


def tokenizer(folder):
    """Whole words and one ending, with marks around a text."""
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors

    known = Tokenizer(models.WordPiece({w: i for i, w in enumerate(WORDS)}, unk_token="[UNK]"))
    known.normalizer = normalizers.Lowercase()
    known.pre_tokenizer = pre_tokenizers.Whitespace()
    known.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    known.enable_padding(length=20)  # a folder may say so; nobody here listens
    known.save(str(folder / "tokenizer.json"))


def made(kind, folder):
    """A tiny random encoder in a folder, and itself."""
    import transformers

    torch.manual_seed(0)
    small = {"hidden_size": 16, "intermediate_size": 24, "num_attention_heads": 2}
    layers = {"num_hidden_layers": 2, "vocab_size": len(WORDS), "max_position_embeddings": 12}
    if kind == "t5":
        config = transformers.T5Config(
            d_model=16, d_kv=8, d_ff=24, num_heads=2, num_layers=2, vocab_size=len(WORDS)
        )
        model = transformers.T5EncoderModel(config)
    elif kind == "bert":
        model = transformers.BertModel(transformers.BertConfig(**small, **layers))
    else:
        config = transformers.CLIPTextConfig(
            **small, **layers, projection_dim=16, bos_token_id=2, eos_token_id=3, pad_token_id=0
        )
        model = transformers.CLIPTextModel(config)
    model.save_pretrained(folder)
    tokenizer(folder)
    return model.eval()
