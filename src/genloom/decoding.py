"""Drawing one token after the other: rows that come and go, and which tokens may be drawn next.

The filters (temperature, then top-k, top-p and min-p) are a pure function of (B, V) logits; what
is ruled out becomes -inf, and at least one token stays.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, final

import torch
import torch.nn.functional as F
from torch import Tensor

from genloom.core import Condition, Rng, Tokens

REACH = 8  # tokens before the next one that a bias is shown

Bias = Callable[[Tensor, Tensor], Tensor]
"""(logits (n, V), the last tokens (n, REACH), -1 where there is none yet) -> logits."""


class Held(Protocol):
    """What a net has read, in rows; `lengths` (rows,) says how many tokens each of them holds."""

    lengths: Tensor

    def move(self, source: int, target: int) -> None:
        """Make one row what another one is."""
        ...


@dataclass(frozen=True, eq=False)
class Fresh:
    """Rows of a cache that begin anew.

    Args:
        first: Their first one.
        tokens: What they hold, (k, P), beginning with the start token unless P is 0.
        cond: Name -> (k, ...).
    """

    first: int
    tokens: Tensor
    cond: Condition

    @property
    def rows(self) -> slice:
        """Where they lie."""
        return slice(self.first, self.first + len(self.tokens))


class Caching(Protocol):
    """A causal net that reads one token at a time, in rows that begin and end on their own."""

    def cache(self, n: int) -> Held:
        """Room for n rows."""
        ...

    def begin(self, cache: Any, fresh: Sequence[Fresh]) -> None:
        """Let rows begin anew."""
        ...

    def follow(self, cache: Any, tokens: Tensor, fresh: Sequence[Fresh] = ()) -> Tensor:
        """Let rows 0 to n - 1 read one token each, (n,) -> logits of the next, (n, V).

        Rows that begin meanwhile begin whatever those before them did to their places.
        """
        ...


@dataclass(eq=False)
class Row:
    """A sample that is being drawn.

    Args:
        place: Where it lies now; it changes when others leave.
        options: Of `narrowed`, sorted.
    """

    place: int
    options: tuple[tuple[str, float], ...]


@final
class Decoding:
    """Samples of one net, drawn token by token; rows join and leave between two tokens.

    What a row draws depends on its seed, condition, beginning and options, not on the others: on a
    CPU bit for bit, if `fill` is 4. Rows lie without gaps, so that a step computes what is needed.

    Args:
        net: See `Caching`.
        space: Of a datum, read in raster order.
        rows: How many there can be at once; their cache is all the memory that this takes.
        device: Of the net.
        fill: A step computes a multiple of this many rows.
        bias: Changes the logits before the options do.
    """

    def __init__(
        self,
        net: Any,
        space: Tokens,
        rows: int,
        device: torch.device,
        *,
        fill: int = 1,
        bias: Bias | None = None,
    ):
        self.net: Caching = net
        self.fill, self.bias, self.most, self.start = fill, bias, rows + -rows % fill, space.vocab
        self.rows: list[Row] = []
        self.logits: Tensor | None = None  # of the last step, as the net gave them
        length = torch.Size(space.shape).numel()
        self.end, self.blank = (-1, 0) if space.end is None else (space.end, space.end)
        self._cache = net.cache(self.most)
        # The start token, then the datum; what is not drawn yet is blank.
        self._tokens = torch.full((self.most, 1 + length), self.blank, device=device)
        self._draws = torch.zeros(self.most, length, dtype=torch.float64, device=device)
        self._fresh: list[Fresh] = []  # rows at the end that begin with the next step
        self._groups: list[tuple[dict[str, Any], Tensor | None]] = []

    def join(self, rng: Rng, cond: Condition, given: Tensor, **options: float) -> list[Row]:
        """Add rows; what they are given is read with the next step, and then they draw.

        Those that join when there are no others draw with it.

        Args:
            rng: One stream for each.
            cond: Name -> (len(rng), ...).
            given: Their first tokens, (len(rng), P) with P less than a datum's length.
            options: Of `narrowed`.
        """
        (n, known), first = given.shape, len(self.rows)
        assert first + n <= self.most, "there is room"
        place = slice(first, first + n)
        tokens = F.pad(given, (1, 0), value=self.start)
        one = Fresh(first, tokens[:, :known], cond)
        if first and (known or self._fresh):  # nothing before them is left to begin
            self._fresh.append(one)
        else:
            self.net.begin(self._cache, [one])
        self._tokens[place] = self.blank
        self._tokens[place, : known + 1] = tokens
        # All at once: a stream gives the same numbers in one draw or in many.
        self._draws[place, known:] = rng.uniform(self._draws.shape[1] - known)
        chosen = tuple(sorted(options.items()))
        joined = [Row(first + i, chosen) for i in range(n)]
        self.rows += joined
        return joined

    def leave(self, row: Row) -> None:
        """Take a row out, between two steps; the last one takes its place."""
        assert not self._fresh, "what was joined has been read"
        last = self.rows.pop()
        if last is not row:
            self._cache.move(last.place, row.place)
            for part in (self._tokens, self._draws):
                part[row.place] = part[last.place]
            last.place = row.place
            self.rows[row.place] = last

    def step(self) -> Tensor:
        """Draw the next token of each row, in the order of `rows`: (n,).

        n is their number, but for the last ones that have just joined and read.
        """
        fresh, self._fresh = self._fresh, []
        n = len(self.rows) - sum(len(one.tokens) for one in fresh)
        filled = n + -n % self.fill
        self._regroup(n)
        if filled > n:  # what lies there is nobody's: it must not run out of its room
            self._cache.lengths[n:filled] = 0
        at = self._cache.lengths[:filled, None].clone()
        pending = self._tokens[:filled].gather(1, at)[:, 0]
        logits = self.logits = self.net.follow(self._cache, pending, fresh)[:n]
        if self.bias is not None:
            logits = self.bias(logits, self._last(at[:n]))
        token = drawn(self._narrowed(logits), self._draws[:n].gather(1, at[:n]))
        token = token.masked_fill_(pending[:n] == self.end, self.end)  # what has ended stays so
        self._tokens[:n].scatter_(1, at[:n] + 1, token[:, None])
        return token

    def data(self, first: int, n: int) -> Tensor:
        """What rows hold so far, in raster order; what follows is blank: (n, length)."""
        return self._tokens[first : first + n, 1:]

    def _last(self, at: Tensor) -> Tensor:
        """The last tokens of the rows at these places, (n, 1) -> (n, REACH); -1 for none."""
        back = at + torch.arange(1 - REACH, 1, device=at.device)
        return self._tokens[: len(at)].gather(1, back.clamp(min=0)).masked_fill(back < 1, -1)

    def _regroup(self, n: int) -> None:
        """Which of the first n rows draw alike."""
        places: dict[tuple[tuple[str, float], ...], list[int]] = {}
        for row in self.rows[:n]:
            places.setdefault(row.options, []).append(row.place)
        only, device = len(places) == 1, self._tokens.device
        self._groups = [
            (dict(options), None if only else torch.tensor(where, device=device))
            for options, where in places.items()
        ]

    def _narrowed(self, logits: Tensor) -> Tensor:
        found = torch.empty_like(logits, dtype=torch.float64)
        for options, where in self._groups:
            if where is None:
                return narrowed(logits, **options)
            found[where] = narrowed(logits[where], **options)
        return found


def drawn(logits: Tensor, u: Tensor) -> Tensor:
    """Tokens (n,) by the inverse distribution function, in float64.

    Args:
        logits: (n, V).
        u: Uniform in [0, 1), (n, 1).
    """
    cdf = logits.double().softmax(-1).cumsum(-1)
    return (cdf <= u * cdf[:, -1:]).sum(-1).clamp(max=logits.shape[-1] - 1)


def narrowed(
    logits: Tensor,
    *,
    temperature: float = 1.0,
    top_k: int = 0,
    top_p: float = 1.0,
    min_p: float = 0.0,
) -> Tensor:
    """Logits of the distribution to draw from, float64, each filter applied to the last one's.

    Args:
        logits: (B, V).
        temperature: Divides the logits; 0 leaves the most likely token alone.
        top_k: Keeps the k most likely; 0 keeps all. Fan et al., 2018 (arXiv:1805.04833), 5.4.
        top_p: Keeps the fewest tokens whose mass is at least p. Holtzman et al., 2020
            (arXiv:1904.09751), section 3.1.
        min_p: Keeps tokens of at least min_p times the largest probability. Nguyen et al., 2024
            (arXiv:2407.01082), section 3.

    Among equally likely tokens the one with the smaller number is kept first.
    """
    logits = logits.double()
    if temperature == 0:
        return _keep_first(logits, torch.ones_like(logits[:, :1], dtype=torch.long))
    logits = (logits - logits.amax(-1, keepdim=True)) / temperature  # finite or -inf, never NaN
    if 0 < top_k < logits.shape[-1]:
        logits = _keep_first(logits, torch.full_like(logits[:, :1], top_k, dtype=torch.long))
    if top_p < 1:
        mass = torch.sort(logits, descending=True, stable=True).values.softmax(-1).cumsum(-1)
        # a token stays while the mass before it is below p
        logits = _keep_first(logits, 1 + (mass[:, :-1] < top_p).sum(-1, keepdim=True))
    if min_p > 0:
        p = logits.softmax(-1)
        logits = logits.masked_fill(p < min_p * p.amax(-1, keepdim=True), -torch.inf)
    return logits


def _keep_first(logits: Tensor, counts: Tensor) -> Tensor:
    """Rule out all but the counts (B, 1) most likely tokens of each row."""
    order = torch.sort(logits, descending=True, stable=True).indices
    rank = torch.empty_like(order).scatter_(
        -1, order, torch.arange(logits.shape[-1], device=logits.device).expand_as(order)
    )
    return logits.masked_fill(rank >= counts, -torch.inf)
