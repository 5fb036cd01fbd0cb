"""Masked diffusion: tokens are hidden at random and guessed from those that are left.

Sahoo et al., Simple and effective masked diffusion language models, 2024 (arXiv:2406.07524), with
the log-linear schedule (at time t a token is hidden with probability t), whose guess never is MASK
and keeps what is seen; Nie et al., Large language diffusion models, 2025 (arXiv:2502.09992). Beyond
them, the length of a document has a law of its own, and its tokens are modelled given how many
there are: so no step is spent on what fills a row up, and several documents fit into one.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from typing import Annotated, Any, ClassVar, Literal, final

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from genloom.core import (
    Condition,
    Generative,
    Interval,
    Rng,
    Space,
    Terms,
    Tokens,
    hide,
    stratified,
    uniform,
)
from genloom.core import options as options_of
from genloom.decoding.rows import drawn, narrowed
from genloom.models.autoregressive import Autoregressive
from genloom.nets.attention import begins
from genloom.nets.bidirectional import Bidirectional
from genloom.nets.embed import ConditionVector

DRAWS = 16  # evaluations of the net for the bound of a datum
CHUNK = 256  # tokens that are drawn at once: in float64 a large vocabulary takes much memory

Order = Literal["random", "confident"]


@final
class MaskedDiffusion(Generative):
    """A distribution over sequences or grids of tokens, drawn in any order.

    Args:
        space: Tokens of any shape. Where it has an end, a datum is a document and the ends that
            fill its row up; several of them in a row do not see each other.
        conditions: Name -> space.
        net: Makes net(tokens, cond, begin) -> logits from (vocab, length, conditions); see
            `nets.bidirectional`.
        drop: Share of training rows whose conditions are hidden, so that the model can also be
            sampled without conditions.
    """

    spaces: ClassVar[tuple[type, ...]] = (Tokens,)
    recommended: Mapping[str, Any] = Autoregressive.recommended
    likelihood: Literal["bound"] = "bound"
    estimator: ClassVar[str] = f"{DRAWS} stratified draws of what is hidden, of a fixed seed"

    def __init__(
        self,
        space: Tokens,
        conditions: Mapping[str, Space],
        *,
        net: Callable[[int, int, Mapping[str, Space]], nn.Module] | None = None,
        drop: Annotated[float, Interval(ge=0, le=1)] = 0.1,
    ):
        super().__init__(space, conditions)
        self.length, self.vocab, self.drop = math.prod(space.shape), space.vocab, drop
        self.end = -1 if space.end is None else space.end  # no token is -1
        self.net = (net or self.usual_net(space))(space.vocab, self.length, conditions)
        self.sizes: ConditionVector | None = None
        if space.end is not None:  # logits of how many tokens a document has before its end
            self.sizes = ConditionVector(conditions, self.length + 1, scale=0.0)
            self.size = nn.Parameter(torch.zeros(self.length + 1))

    @staticmethod
    def usual_net(space: Tokens) -> Callable[[int, int, Mapping[str, Space]], nn.Module]:
        """A bidirectional transformer."""
        return Bidirectional

    def prepare(self, x: Tensor, cond: Condition) -> None:
        """Count the lengths of documents: their law starts there, one count spread over all."""
        if self.sizes is None:
            return
        size, real = self._documents(x.flatten(1))
        count = size[real].bincount(minlength=self.length + 1)
        with torch.no_grad():
            self.size.copy_((count + 1 / len(count)).log() - (count.sum() + 1).log())

    def loss(self, x: Tensor, cond: Condition) -> Terms:
        """Nats per place of a row: the bound of Sahoo et al., with one t for each row."""
        if cond and self.drop:
            cond = hide(cond, uniform(len(x), device=x.device) < self.drop)
        x = x.flatten(1)
        t, turn = stratified(len(x), device=x.device), uniform(*x.shape, device=x.device)
        hidden, weight = self._hidden(x, t[:, None], turn)
        nats = {"nats": (self.hidden_nats(x, cond, hidden) * weight).sum() / x.numel()}
        if self.sizes is None:
            return nats
        return {**nats, "length": self._size_nats(x, cond).sum() / x.numel()}

    def hidden_nats(self, x: Tensor, cond: Condition, hidden: Tensor) -> Tensor:
        """What each hidden token costs, guessed from all that is seen: (B, L); 0 elsewhere.

        Args:
            x: (B, L).
            cond: Name -> (B, ...).
            hidden: True where a token is hidden, (B, L).
        """
        logits = self._logits(x.masked_fill(hidden, self.vocab), cond, self._begin(x))
        found = torch.zeros(x.shape, device=x.device)
        cost = F.cross_entropy(logits[hidden].float(), x[hidden], reduction="none")
        return found.masked_scatter(hidden, cost)

    @torch.no_grad()
    def log_prob(self, x: Tensor, cond: Condition) -> Tensor:
        """A lower bound in nats, (B,), from 16 evaluations a datum; an exact net makes it tight.

        Each datum has 16 stratified draws of t and of which tokens are hidden, of a fixed seed: the
        same batch has always the same bound.
        """
        x, generator = x.flatten(1), torch.Generator().manual_seed(0)
        total = x.new_zeros(len(x), dtype=torch.float64)
        for i in range(DRAWS):
            t, turn = (torch.rand(len(x), n, generator=generator) for n in (1, self.length))
            hidden, weight = self._hidden(x, ((i + t) / DRAWS).to(x.device), turn.to(x.device))
            total += (self.hidden_nats(x, cond, hidden).double() * weight).sum(1) / DRAWS
        return -total if self.sizes is None else -total - self._size_nats(x, cond).double().sum(1)

    def sample_steps(
        self,
        rng: Rng,
        cond: Condition,
        *,
        steps: Annotated[int, Interval(ge=1, le=1000)] = 64,
        temperature: Annotated[float, Interval(ge=0, le=10)] = 1.0,
        order: Order = "random",
    ) -> Iterator[Tensor]:
        """Yield the data after each step; what is still hidden is the likeliest token.

        Args:
            rng: One stream per sample.
            cond: Conditions of each sample.
            steps: In which a document is drawn, as many tokens in each; those of one step do not
                know of each other, and more steps than tokens are one token a step.
            temperature: Divides the logits; 0 takes the likeliest token.
            order: "random" draws from the model's law, the better the more steps there are;
                "confident" keeps in each step the draws of the highest probability (Nie et al.,
                2025, Alg. 5), which is surer of itself and less diverse.
        """
        n, device = len(rng), rng.device
        x = torch.full((n, self.length), int(self.end == 0), device=device)  # no end
        if self.sizes is not None:
            size = rng.categorical(self.size + self.sizes(cond, n))
            place = torch.arange(self.length, device=device)
            x = x.masked_fill(place >= size[:, None], self.end)
        yield from self._filled(rng, cond, x, self._letters(x), steps, temperature, order)

    def edit_steps(
        self,
        rng: Rng,
        cond: Condition,
        source: Tensor,
        mask: Tensor | None = None,
        *,
        strength: Annotated[float, Interval(ge=0, le=1)] = 1.0,
        **options: Any,
    ) -> Iterator[Tensor]:
        """Draw tokens anew: see `core.Edits`; infilling, with a mask. All others stay as they are.

        Args:
            rng: One stream per sample.
            cond: Conditions of each sample.
            source: (len(rng), *shape). Its ends stay, and so does how many tokens it has.
            mask: True where tokens may change, (len(rng), 1, *places); a token that stands for
                several places changes where all of them may. None: everywhere.
            strength: Share of those tokens that is drawn anew, at random.
            options: Those of `sample_steps`.
        """
        chosen = {name: o.default for name, o in options_of(self.sample_steps).items()} | options
        x = source.flatten(1)
        free = self._letters(x)
        if mask is not None:
            free &= _whole(mask, self.space.shape).flatten(1)
        most = (strength * free.sum(1, keepdim=True)).round()
        hidden = free & (_ranks(rng.uniform(self.length), free) < most)
        yield from self._filled(rng, cond, x, hidden, **chosen)

    def _filled(
        self,
        rng: Rng,
        cond: Condition,
        x: Tensor,
        hidden: Tensor,
        steps: int,
        temperature: float,
        order: Order,
    ) -> Iterator[Tensor]:
        """Draw the hidden tokens of (n, L), as many in each of a row's steps."""
        count, begin = hidden.sum(1, keepdim=True), self._begin(x)
        rounds, turn = count.clamp(1, steps), rng.uniform(self.length)
        for i in range(1, int(rounds.max()) + 1):
            logits = self._logits(x.masked_fill(hidden, self.vocab), cond, begin)
            goal = ((count * i + rounds - 1) // rounds).minimum(count)
            due = goal - count + hidden.sum(1, keepdim=True)
            u = rng.uniform(self.length)
            if order == "confident":
                _, sure = _drawn(logits[hidden], u[hidden], temperature)
                turn = -torch.zeros_like(u).masked_scatter(hidden, sure)
            now = hidden & (_ranks(turn, hidden) < due)
            token, _ = _drawn(logits[now], u[now], temperature)
            x, hidden = x.masked_scatter(now, token), hidden & ~now
            guess = torch.where(hidden, logits.argmax(-1), x)
            yield guess.view(len(x), *self.space.shape)

    def _logits(self, seen: Tensor, cond: Condition, begin: Tensor | None) -> Tensor:
        """(B, L) with MASK -> (B, L, V); no token that is hidden is an end."""
        logits = self.net(seen, cond, begin)
        if self.sizes is not None:
            logits[..., self.end] = -torch.inf
        return logits

    def _hidden(self, x: Tensor, t: Tensor, turn: Tensor) -> tuple[Tensor, Tensor]:
        """Which tokens time t hides, and what each of them weighs in the bound.

        Of m tokens k = floor(t m) + 1, each of which weighs m / k. Over a uniform t that equals the
        bound that hides each with probability t and weighs it 1 / t, with less noise: Ou et al.,
        2024 (arXiv:2406.03736).

        Args:
            x: (B, L).
            t: In [0, 1), (B, 1).
            turn: Random numbers, (B, L): the least are hidden first.

        Returns:
            (B, L) and (B, 1).
        """
        letters = self._letters(x)
        count = letters.sum(1, keepdim=True)
        k = (t * count).long().add(1).minimum(count)
        return letters & (_ranks(turn, letters) < k), count / k.clamp(min=1)

    def _letters(self, x: Tensor) -> Tensor:
        """What may be hidden: all but ends, (B, L) -> (B, L)."""
        return x != self.end

    def _begin(self, x: Tensor) -> Tensor | None:
        """Where the document of each place begins: (B, L) -> (B, L)."""
        if self.sizes is None:
            return None
        return begins(F.pad(x[:, :-1], (1, 0), value=self.end), self.end)

    def _size_nats(self, x: Tensor, cond: Condition) -> Tensor:
        """What the lengths of the documents of a row cost: (B, L) -> (B, L + 1), at their ends."""
        assert self.sizes is not None
        size, real = self._documents(x)
        law = (self.size + self.sizes(cond, len(x))).float().log_softmax(-1)
        return -law.gather(1, size).masked_fill(~real, 0)

    def _documents(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """How many tokens lie before each place in its document, and whether it closes there.

        (B, L) -> twice (B, L + 1); a document that the row's border cuts closes there.
        """
        closed = F.pad(x, (0, 1), value=self.end)
        place, begin = torch.arange(closed.shape[1], device=x.device), self._begin(closed)
        assert begin is not None
        size = place - begin
        return size, (closed == self.end) & ((size > 0) | (place == 0))


def _drawn(logits: Tensor, u: Tensor, temperature: float) -> tuple[Tensor, Tensor]:
    """Tokens and their probabilities before the temperature: (K, V), (K,) -> (K,), (K,)."""
    tokens, sure = [], []
    for some, draws in zip(logits.split(CHUNK), u[:, None].split(CHUNK), strict=True):
        tokens.append(drawn(narrowed(some, temperature=temperature), draws))
        sure.append(some.double().softmax(-1).gather(1, tokens[-1][:, None])[:, 0])
    return torch.cat(tokens), torch.cat(sure)


def _ranks(score: Tensor, among: Tensor) -> Tensor:
    """The rank of each place of a row among some of them, the least score first: (B, L)."""
    return score.masked_fill(~among, torch.inf).argsort(dim=1, stable=True).argsort(dim=1)


def _whole(mask: Tensor, shape: tuple[int, ...]) -> Tensor:
    """Which tokens are true in all places they stand for: (n, 1, *places) -> (n, *shape)."""
    kept = (~mask).float()
    if len(shape) == 2:
        kept = F.adaptive_max_pool2d(kept, shape)
    return kept.view(len(mask), *shape) == 0
