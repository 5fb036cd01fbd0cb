"""Drawing one token after the other: rows that come and go, and which tokens may be drawn next.

Penalties for what a row has said come first, then a bias, what a constraint rules out, and the
filters of `narrowed` at last.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, final

import torch
import torch.nn.functional as F
from torch import Tensor

from genloom.core import Condition, Rng, Tokens
from genloom.decoding.constraints import Constraint, Strict
from genloom.decoding.filters import drawn, narrowed
from genloom.decoding.penalties import NONE, PENALTIES, Penalties
from genloom.nets.packed import Blocks

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
        """Let the first n rows of a cache read one more token each, and rows begin anew.

        On a CPU a row's logits are the same, bit for bit, in any company of 4, 8, ... rows.

        Args:
            cache: Of `cache`.
            tokens: (n,).
            fresh: Rows that begin; where they lie among the n, what those read is lost.

        Returns:
            Logits of the token after it, (n, V).
        """
        ...


@dataclass(eq=False)
class Row:
    """A sample that is being drawn.

    Args:
        place: Where it lies now; it changes when others leave.
        options: Of `narrowed`, sorted.
        penalties: Where there are any.
        strict: What holds it to a form, where one was asked for.
    """

    place: int
    options: tuple[tuple[str, Any], ...]
    penalties: Penalties | None = None
    strict: Strict | None = None

    @property
    def over(self) -> bool:
        """Whether its form lets it draw no more; what it draws then is blank."""
        return self.strict is not None and self.strict.over


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
        self._cache, self._laid = net.cache(self.most), Blocks(net)
        # The start token, then the datum; what is not drawn yet is blank.
        self._tokens = torch.full((self.most, 1 + length), self.blank, device=device)
        self._draws = torch.zeros(self.most, length, dtype=torch.float64, device=device)
        self._fresh: list[Fresh] = []  # rows at the end that begin with the next step
        self._given = torch.ones(self.most, 1, dtype=torch.long, device=device)  # and the start
        self._groups: list[tuple[dict[str, Any], Tensor | None]] = []
        self._penalties: list[tuple[Penalties, Tensor]] = []

    def join(
        self,
        rng: Rng,
        cond: Condition,
        given: Tensor,
        *,
        constraint: Constraint | None = None,
        most: int | None = None,
        **options: Any,
    ) -> list[Row]:
        """Add rows; what they are given is read with the next step, and then they draw.

        Those that join when there are no others draw with it.

        Args:
            rng: One stream for each.
            cond: Name -> (len(rng), ...).
            given: Their first tokens, (len(rng), P) with P less than a datum's length.
            constraint: A form that what they draw is to have, or what they draw and are given.
            most: Tokens within which it must have it; None: as many as there is room for.
            options: Of `narrowed` and of `Penalties`.

        Raises:
            BadInput: See `Constraint.start`; nothing has joined.
        """
        (n, known), first = given.shape, len(self.rows)
        assert first + n <= self.most, "there is room"
        left = self._draws.shape[1] - known
        left = left if most is None else min(most, left)
        strict = [
            None if constraint is None else Strict(constraint, left, self.start, self.end, tokens)
            for tokens in given.tolist()
        ]
        place = slice(first, first + n)
        tokens = F.pad(given, (1, 0), value=self.start)
        one = Fresh(first, tokens[:, :known], cond)
        if first and (known or self._fresh):  # nothing before them is left to begin
            self._fresh.append(one)
        else:
            with self._laid:
                self.net.begin(self._cache, [one])
        self._tokens[place] = self.blank
        self._tokens[place, : known + 1] = tokens
        self._given[place] = known + 1
        # All at once: a stream gives the same numbers in one draw or in many.
        self._draws[place, known:] = rng.uniform(self._draws.shape[1] - known)
        penalties = Penalties(**{k: v for k, v in options.items() if k in PENALTIES})
        chosen = tuple(sorted((k, v) for k, v in options.items() if k not in PENALTIES))
        some = None if penalties == NONE else penalties
        joined = [Row(first + i, chosen, some, strict[i]) for i in range(n)]
        self.rows += joined
        return joined

    def leave(self, row: Row) -> None:
        """Take a row out, between two steps; the last one takes its place."""
        assert not self._fresh, "what was joined has been read"
        last = self.rows.pop()
        if last is not row:
            self._cache.move(last.place, row.place)
            for part in (self._tokens, self._draws, self._given):
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
        with self._laid:
            logits = self.logits = self.net.follow(self._cache, pending, fresh)[:n]
        for penalties, where in self._penalties:
            rows = self._tokens[where], self._given[where], at[where] + 1
            logits = logits.index_copy(0, where, penalties(logits[where], *rows))
        if self.bias is not None:
            logits = self.bias(logits, self._last(at[:n]))
        u = self._draws[:n].gather(1, at[:n])
        strict = [row for row in self.rows[:n] if row.strict is not None]
        logits = _restricted(logits, strict)
        token = drawn(self._narrowed(logits), u)
        for row in strict:
            token[row.place] = self._settled(row, logits, u, int(token[row.place]))
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

    def _settled(self, row: Row, logits: Tensor, u: Tensor, token: int) -> int:
        """The token of a row that has a form: drawn again while no end is known after it."""
        strict, one = row.strict, slice(row.place, row.place + 1)
        assert strict is not None

        def again(refused: int) -> int | None:
            logits[one, refused] = -torch.inf
            if bool(logits[one].isneginf().all()):
                return None
            return int(drawn(narrowed(logits[one], **dict(row.options)), u[one]))

        found = None if strict.over else strict.take(token, again)
        return self.blank if found is None else found

    def _regroup(self, n: int) -> None:
        """Which of the first n rows draw alike, and which are penalised alike."""
        places: dict[tuple[tuple[str, float], ...], list[int]] = {}
        penalised: dict[Penalties, list[int]] = {}
        for row in self.rows[:n]:
            places.setdefault(row.options, []).append(row.place)
            if row.penalties is not None:
                penalised.setdefault(row.penalties, []).append(row.place)
        only, device = len(places) == 1, self._tokens.device
        self._groups = [
            (dict(options), None if only else torch.tensor(where, device=device))
            for options, where in places.items()
        ]
        self._penalties = [
            (one, torch.tensor(where, device=device)) for one, where in penalised.items()
        ]

    def _narrowed(self, logits: Tensor) -> Tensor:
        found = torch.empty_like(logits, dtype=torch.float64)
        for options, where in self._groups:
            if where is None:
                return narrowed(logits, **options)
            found[where] = narrowed(logits[where], **options)
        return found


def _restricted(logits: Tensor, rows: Sequence[Row]) -> Tensor:
    """Rule out what has not the form of these rows: (n, V) -> the same."""
    if not rows:
        return logits
    free = torch.ones(logits.shape, dtype=torch.bool)
    for row in rows:
        mask = row.strict and row.strict.allowed()
        if mask is not None:
            free[row.place] = mask
    return logits.masked_fill(~free.to(logits.device), -torch.inf)
