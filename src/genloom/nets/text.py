"""Text encoders: one that is learned with the model that reads it, and trained ones of others.

The first is that of Vaswani et al., 2017 (arXiv:1706.03762), section 3.1, with norms before each
part (Xiong et al., 2020, arXiv:2002.04745). What is added starts at zero: an encoder that has
learned nothing hands its input on. The others are those of transformers, from a local folder,
frozen, as text-to-image models use them: Rombach et al., 2021 (arXiv:2112.10752), section 3.3, and
Saharia et al., 2022 (arXiv:2205.11487), section 2.1.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Self, final

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from genloom.checkpoint import digest
from genloom.errors import BadInput, need

HEAD = 32  # features of an attention head, where there are so many
CONFIG, WEIGHTS, TOKENIZER = "config.json", "model.safetensors", "tokenizer.json"
ENCODERS: Mapping[str, str] = {  # model_type of a config.json -> the class of transformers
    "bert": "BertModel",
    "clip": "CLIPTextModel",
    "clip_text_model": "CLIPTextModel",
    "distilbert": "DistilBertModel",
    "mt5": "MT5EncoderModel",
    "roberta": "RobertaModel",
    "t5": "T5EncoderModel",
    "umt5": "UMT5EncoderModel",
    "xlm-roberta": "XLMRobertaModel",
}


@final
class TextEncoder(nn.Module):
    """(B, L, width) -> the same; what fills a text up is looked at by nobody.

    Args:
        width: Of a position.
        layers: Blocks.
    """

    def __init__(self, width: int, layers: int):
        super().__init__()
        self.blocks = nn.ModuleList(EncoderBlock(width) for _ in range(layers))

    def forward(self, x: Tensor, filling: Tensor) -> Tensor:
        """Encode a batch.

        Args:
            x: (B, L, width), places included.
            filling: True where there is no text, (B, L). The first position always counts as text,
                so that each row has something to look at.
        """
        seen = ~filling
        seen[:, 0] = True
        for block in self.blocks:
            x = block(x, seen[:, None, None])
        return x


@final
class EncoderBlock(nn.Module):
    """Attention over what is seen, then a feed-forward net; each on the norm of its input."""

    def __init__(self, width: int):
        super().__init__()
        self.heads = max(1, width // HEAD) if width % HEAD == 0 else 1
        self.norm1, self.norm2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.qkv, self.out = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.up, self.down = nn.Linear(width, 4 * width), nn.Linear(4 * width, width)
        for last in (self.out, self.down):
            nn.init.zeros_(last.weight)
            nn.init.zeros_(last.bias)

    def forward(self, x: Tensor, seen: Tensor) -> Tensor:
        """(B, L, width), (B, 1, 1, L) -> (B, L, width)."""
        qkv = self.qkv(self.norm1(x)).unflatten(-1, (3, self.heads, -1))
        q, k, v = (part.transpose(1, 2) for part in qkv.unbind(2))  # (B, heads, L, features)
        found = F.scaled_dot_product_attention(q, k, v, seen)
        x = x + self.out(found.transpose(1, 2).flatten(2))
        return x + self.down(F.gelu(self.up(self.norm2(x))))


@final
class FrozenEncoder:
    """A trained text encoder of transformers, and the tokenizer whose pieces it reads.

    It is no module: it learns nothing, has no moving average and is in no checkpoint. An artifact
    holds a copy of its folder. Code comes from the installed library alone, weights from
    safetensors alone.

    Args:
        folder: With config.json, model.safetensors and tokenizer.json.

    Raises:
        BadInput: A file is missing, the encoder is of a kind that is not known, or weights are.
        MissingExtra: transformers is not installed.
    """

    def __init__(self, folder: str):
        self.folder = Path(folder)
        for name in (CONFIG, WEIGHTS, TOKENIZER):
            if not (self.folder / name).is_file():
                raise BadInput(
                    f"{folder} holds no {name}: a text encoder is a folder with {CONFIG}, "
                    f"{WEIGHTS} (one file) and {TOKENIZER}, as save_pretrained of transformers "
                    "writes them."
                )
        self.tokenizer = digest(self.folder / TOKENIZER)
        self.model = _loaded(self.folder).requires_grad_(False).eval()
        config = self.model.config
        self.width, self.vocab = int(config.hidden_size), int(config.vocab_size)
        self.longest = int(getattr(config, "max_position_embeddings", 0)) or None
        if config.model_type in ("roberta", "xlm-roberta"):  # two of their places are never used
            self.longest = self.longest and self.longest - 2
        self._last: tuple[Tensor, Tensor] | None = None

    def __deepcopy__(self, memo: Any) -> Self:
        """Itself: all copies of a net read by the same encoder."""
        return self

    @torch.inference_mode(False)  # what that mode makes cannot be trained on later
    @torch.no_grad()
    def encode(self, tokens: Tensor) -> Tensor:
        """Pieces (B, L) in [1, vocab], 0 where there is none -> states (B, L, width), float32.

        The steps of sampling ask for the same texts again and again: those are remembered.
        """
        if self._last is not None and torch.equal(self._last[0], tokens):
            return self._last[1]
        seen = tokens > 0
        seen[:, 0] = True  # each row has something to look at
        ids = (tokens - 1).clamp(min=0)
        found = self.model.to(tokens.device)(input_ids=ids, attention_mask=seen.long())
        states = found.last_hidden_state.float()
        self._last = tokens.clone(), states
        return states


def _loaded(folder: Path) -> Any:
    """The encoder of a folder, whole."""
    kind = json.loads((folder / CONFIG).read_text("utf-8")).get("model_type")
    if kind not in ENCODERS:
        raise BadInput(f"{folder} is a {kind!r}; text encoders are {', '.join(ENCODERS)}.")
    try:
        import transformers  # pyright: ignore
    except ImportError as error:
        raise need("transformers", "hub", "A trained text encoder") from error
    loud = transformers.logging.is_progress_bar_enabled()
    transformers.logging.disable_progress_bar()
    model, told = getattr(transformers, ENCODERS[kind]).from_pretrained(
        folder,
        local_files_only=True,
        use_safetensors=True,
        dtype=torch.float32,
        output_loading_info=True,
    )
    if loud:
        transformers.logging.enable_progress_bar()
    missing = [name for name in told["missing_keys"] if not name.startswith("pooler.")]
    if missing:
        raise BadInput(f"{folder / WEIGHTS} lacks {len(missing)} weights, such as {missing[0]}.")
    return model


@final
class FrozenRows(nn.Module):
    """What a frozen encoder says of each piece, mapped to a width; (B * L,) -> (B * L, width).

    What fills up, and a hidden text, have a learned row of their own.

    Args:
        encoder: Of the texts.
        length: Pieces of a text.
        vocab: Numbers that a piece may be, with 0 for none.
        width: Of a row.

    Raises:
        BadInput: The encoder knows fewer pieces, or reads fewer at once.
    """

    def __init__(self, encoder: FrozenEncoder, length: int, vocab: int, width: int):
        super().__init__()
        if vocab - 1 > encoder.vocab or (encoder.longest and length > encoder.longest):
            raise BadInput(
                f"texts are {length} of {vocab - 1} pieces, {encoder.folder} reads "
                f"{encoder.longest or 'any number'} of {encoder.vocab}. Set data.tokenizer to it."
            )
        self.encoder, self.length = encoder, length
        self.norm, self.map = nn.LayerNorm(encoder.width), nn.Linear(encoder.width, width)
        self.null = nn.Parameter(torch.zeros(width))

    def forward(self, tokens: Tensor | None, n: int) -> Tensor:
        """Integers (n,), -1 = hidden, 0 = filling, or None = all hidden -> (n, width)."""
        if tokens is None:
            return self.null.expand(n, -1)
        states = self.encoder.encode(tokens.view(-1, self.length).clamp(min=0)).flatten(0, 1)
        return torch.where(tokens[:, None] > 0, self.map(self.norm(states)), self.null)
