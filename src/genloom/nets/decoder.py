"""What decoders in the forms of others share: documents in rows, reading one token at a time."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from genloom.core import Condition, Space, Tokens
from genloom.decoding.rows import Fresh
from genloom.errors import BadInput
from genloom.nets.attention import SHARPNESS, Attend, apart, begins, causal, sliding
from genloom.nets.packed import BLOCK
from genloom.nets.transformer_cache import CHUNK, Cache

STD = 0.02  # of fresh weights: Radford et al., 2019, section 2.3


class Decoder(nn.Module, ABC):
    """net(tokens, cond) -> logits: position i sees tokens 0 to i of its document, and no others.

    A form of decoder says how tokens are embedded, what its blocks do, and what logits are.

    Args:
        space: Of a datum; its length is the limit. Where it has an end, each document of a row is
            read as if it stood alone.
        conditions: None can be read.
        layers: Blocks.
        kv_heads: Of keys and values.
        features: Of a head.
        positions: Those that the form allows; 0: as many as a datum has.
        start: The number that the start token is read as; -1: the end, or 0 where there is none.

    Raises:
        BadInput: There are conditions, too few positions, or no such number.
    """

    def __init__(
        self,
        space: Tokens,
        conditions: Mapping[str, Space],
        *,
        layers: int,
        kv_heads: int,
        features: int,
        positions: int,
        start: int,
    ):
        super().__init__()
        name = type(self).__name__.lower()
        if conditions:
            raise BadInput(
                f"{name} reads no conditions ({', '.join(conditions)}): its form has no place for "
                "them. Take the net transformer, or data without."
            )
        self.length, self.start = math.prod(space.shape), space.vocab
        self.positions = positions or self.length
        if self.length > self.positions:
            raise BadInput(
                f"a datum has {self.length} tokens, and {name} has {self.positions} positions. "
                f"Set data.length = {self.positions} or less."
            )
        if not -1 <= start < space.vocab:
            raise BadInput(
                f"start = {start} is none of the data's {space.vocab} tokens. Set data.tokenizer "
                "to that of the checkpoint, or start to -1."
            )
        self.opener = start if start >= 0 else space.end or 0
        self.closes = space.end is not None
        self.held = layers, kv_heads, features

    @abstractmethod
    def embedded(self, tokens: Tensor, places: Tensor) -> Tensor:
        """(..., L) numbers of the vocabulary at places (L,) or (..., L) -> (..., L, D)."""

    @abstractmethod
    def through(self, x: Tensor, places: Tensor, attend: Attend) -> Tensor:
        """The blocks: (B, L, D) at places (L,) or (B, L) -> the same."""

    @abstractmethod
    def logits(self, x: Tensor) -> Tensor:
        """(..., D) -> (..., V)."""

    def forward(self, tokens: Tensor, cond: Condition) -> Tensor:
        """(B, L) -> (B, L, V).

        Args:
            tokens: Integers in [0, vocab]; the last, vocab, is the start token.
            cond: Empty.
        """
        length, mask = tokens.shape[1], None
        places = torch.arange(length, device=tokens.device)
        if self.closes:
            begin = begins(tokens, self.start)
            places = places - begin
            mask = sliding(length, 0, length, tokens.device) & apart(begin, 0)
        x = self.embedded(self._read(tokens), places)
        return self.logits(self.through(x, places, partial(causal, mask)))

    def cache(self, n: int) -> Cache:
        """Room for n rows of full length, on the device of the weights."""
        layers, kv_heads, features = self.held
        weight = next(self.parameters())
        shape = layers, n, kv_heads, self.length + -self.length % CHUNK, features
        lengths = torch.zeros(n, dtype=torch.long, device=weight.device)
        empty, nothing = weight.new_empty, weight.new_empty(n, 0)
        return Cache(
            empty(shape), empty(shape), nothing.long(), nothing, lengths, 0, span=self.length
        )

    @torch.no_grad()
    def begin(self, cache: Cache, fresh: Sequence[Fresh]) -> None:
        """Let rows of a cache begin anew."""
        for one in fresh:
            known = one.tokens.shape[1]
            cache.clear(one.rows)
            # Whole blocks of positions: what a row holds does not depend on how many begin with it.
            places = torch.arange(known + -known % BLOCK, device=one.tokens.device)
            places = places.clamp_(max=self.length - 1)
            if known:
                tokens = F.pad(self._read(one.tokens), (0, len(places) - known))
                x = self.embedded(tokens, places)
                self.through(x, places, cache.beginning(one, len(places)))
            cache.lengths[one.rows] = known

    @torch.no_grad()
    def follow(self, cache: Cache, tokens: Tensor, fresh: Sequence[Fresh] = ()) -> Tensor:
        """See `Caching`: rows that begin do so after the others have read."""
        places, attend = cache.lengths[: len(tokens)].clone(), cache.following(len(tokens))
        x = self.embedded(self._read(tokens), places)
        cache.lengths[: len(tokens)] += 1
        logits = self.logits(self.through(x[None], places, attend)[0])
        self.begin(cache, fresh)
        return logits

    def _read(self, tokens: Tensor) -> Tensor:
        """The start token is none of theirs."""
        return tokens.masked_fill(tokens == self.start, self.opener)


def softly(q: Tensor) -> Tensor:
    """Queries for `attention`, so that scores are q k / sqrt(features), as all but ours have it."""
    return q / SHARPNESS


def begun(blocks: nn.ModuleList, last: Sequence[str]) -> None:
    """Fresh weights of blocks: Radford et al., 2019, section 2.3.

    Args:
        blocks: Of a decoder.
        last: Names of the layers whose outputs are added up over the blocks.
    """
    for block in blocks:
        for name, layer in block.named_children():
            if isinstance(layer, nn.Linear):
                scale = 1 / math.sqrt(len(last) * len(blocks)) if name in last else 1.0
                nn.init.normal_(layer.weight, std=STD * scale)
                if layer.bias is not None:
                    nn.init.zeros_(layer.bias)


def divided(whole: int, parts: int, names: tuple[str, str]) -> int:
    """The share of each part.

    Raises:
        BadInput: It leaves a rest.
    """
    if whole % parts:
        raise BadInput(f"{names[0]} = {whole} is no multiple of {names[1]} = {parts}.")
    return whole // parts
