"""Autoregressive model: each token from those before it, in raster order; exact likelihood.

p(x) = prod_i p(x_i | x_1 .. x_(i-1)): Bengio et al., A neural probabilistic language model, 2003;
on pixels van den Oord et al., 2016 (arXiv:1601.06759), Eq. 1. The default net is a transformer.
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
    uniform,
)
from genloom.decoding.rows import Bias, Decoding
from genloom.errors import BadInput
from genloom.nets import lora
from genloom.nets.transformer import Transformer

UNASKED = (
    -100
)  # of a token whose likelihood is not counted, see `torch.nn.functional.cross_entropy`

TUNING: Mapping[str, Any] = {"batch": 8, "warmup": 0.05, "ema": 0.05}  # of a base, with AdamW


@final
class Autoregressive(Generative):
    """A distribution over sequences or grids of tokens.

    Args:
        space: Tokens of any shape, read in raster order. Where it has an end, each document of a
            row begins as a row does, the net is not to look beyond it, and a sample is one.
        conditions: Name -> space.
        net: Makes a causal net(tokens, cond) -> logits from (space, conditions). Tokens are (B, L)
            and begin with the start token, whose number is the vocabulary's size; logits are
            (B, L, V), those at position i for the token after it. To sample, it reads one token
            at a time, see `decoding.rows.Caching`.
        learned: "answers" leaves out of the loss what a talk is given: of a document with roles,
            all but the answers and what closes them.
        drop: Share of training rows whose conditions are hidden, so that the model can also be
            sampled without conditions.
        base: A trained model whose weights this one begins with: a run, its model folder, its name,
            or a checkpoint (see `hub.causal`). It must read the same tokens, and its net is taken
            where none is named. It is needed at the start of training alone.
        rank: Of the differences that are learned in place of the base's weights, which stay as
            they are (see `nets.lora`); 0: all weights learn.
        alpha: How far the differences count; left out, twice the rank.

    Raises:
        BadInput: A rank without a base, or of a net that cannot be adapted; or alpha without it.
    """

    spaces: ClassVar[tuple[type, ...]] = (Tokens,)
    recommended: Mapping[str, Any] = {
        "optimizer": "muon",
        "lr": 3e-3,
        "matrix_lr": 0.02,
        "beta1": 0.9,
        "beta2": 0.95,
        "batch": 16,
        "clip": None,
        "schedule": "linear",
        "warmup": 0.02,
        "warmdown": 0.6,
        "ema": 0.05,
    }
    likelihood: Literal["exact"] = "exact"

    def __init__(
        self,
        space: Tokens,
        conditions: Mapping[str, Space],
        *,
        net: Callable[[Tokens, Mapping[str, Space]], nn.Module] | None = None,
        learned: Literal["all", "answers"] = "all",
        drop: Annotated[float, Interval(ge=0, le=1)] = 0.1,
        base: str | None = None,
        rank: Annotated[int | None, Interval(ge=0)] = None,
        alpha: Annotated[float | None, Interval(ge=0)] = None,
    ):
        super().__init__(space, conditions)
        self.length, self.vocab, self.drop = math.prod(space.shape), space.vocab, drop
        self.roles, self.closed = space.roles if learned == "answers" else (), space.closed
        self.end = -1 if space.end is None else space.end  # no token is -1
        self.net = (net or self.usual_net(space))(space, conditions)
        self.base = base
        if base is not None:
            self.recommended = {**TUNING, "lr": 2e-4 if rank else 5e-5}
        if alpha is not None and not rank:
            raise BadInput(f"alpha = {alpha} is of what a rank adds: set model.rank too.")
        if rank:
            if base is None:
                raise BadInput(f"rank = {rank} adapts a trained model: name it, model.base.")
            lora.adapt(self.net, rank, 2 * rank if alpha is None else alpha)

    @staticmethod
    def usual_net(space: Tokens) -> Callable[[Tokens, Mapping[str, Space]], nn.Module]:
        """A transformer decoder."""
        return Transformer

    def prepare(self, x: Tensor, cond: Condition) -> None:
        """Take the weights of the base, if there is one.

        Raises:
            BadInput: It reads other tokens, or has another net.
        """
        if self.base is None:
            return
        found = _trained(self.base, self)
        theirs, ours = lora.merge(found.net).state_dict(), self.net.state_dict()
        if (name := lora.fill(self.net, theirs)) is None:
            return
        shapes = [tuple(w[name].shape) if name in w else () for w in (theirs, ours)]
        longer = (found.length, self.length) in zip(*shapes) and found.length != self.length
        cure = (
            f"Set data.length = {found.length}, as the base has it."
            if longer
            else "Leave model.net out, or set it to what the recipe.toml of the base has there."
        )
        raise BadInput(
            f"{self.base} has another net than this model: its {name} has the shape {shapes[0]}, "
            f"not {shapes[1]}. {cure}"
        )

    def loss(self, x: Tensor, cond: Condition) -> Terms:
        """Nats per token."""
        if cond and self.drop:
            cond = hide(cond, uniform(len(x), device=x.device) < self.drop)
        logits = self._logits(x, cond)
        wanted = self._wanted(x)
        if not self.roles:
            return {"nats": F.cross_entropy(logits.flatten(0, 1), wanted.flatten())}
        own = answers(x.flatten(1), self.roles, self.end, closed=self.closed)
        wanted = wanted.masked_fill(~own, UNASKED)
        nats = F.cross_entropy(logits.flatten(0, 1), wanted.flatten(), reduction="sum")
        return {"nats": nats / (wanted != UNASKED).sum().clamp(min=1)}  # there may be no answer

    def token_log_prob(self, x: Tensor, cond: Condition) -> Tensor:
        """Nats of each token given those before it: (B, *shape) -> (B, L); 0 where ends fill up."""
        logits = self._logits(x, cond).float()
        return -F.cross_entropy(logits.mT, self._wanted(x), reduction="none")

    def log_prob(self, x: Tensor, cond: Condition) -> Tensor:
        """Nats of each datum, exact: (B,)."""
        return self.token_log_prob(x, cond).double().sum(1)

    def sample_steps(
        self,
        rng: Rng,
        cond: Condition,
        *,
        temperature: Annotated[float, Interval(ge=0, le=10)] = 1.0,
        top_k: Annotated[int, Interval(ge=0)] = 0,
        top_p: Annotated[float, Interval(ge=0, le=1)] = 1.0,
        min_p: Annotated[float, Interval(ge=0, le=1)] = 0.0,
        repetition_penalty: Annotated[float, Interval(ge=0.1, le=10)] = 1.0,
        frequency_penalty: Annotated[float, Interval(ge=-2, le=2)] = 0.0,
        presence_penalty: Annotated[float, Interval(ge=-2, le=2)] = 0.0,
    ) -> Iterator[Tensor]:
        """Yield the data after each token; what is not drawn yet is 0, or an end.

        The options are those of `decoding.filters.narrowed` and `decoding.penalties.Penalties`;
        without them the draws follow the model.
        """
        start = torch.zeros(len(rng), 0, dtype=torch.long, device=rng.device)
        yield from self.complete(
            rng,
            cond,
            start,
            temperature=temperature,
            top_k=top_k,
            top_p=top_p,
            min_p=min_p,
            repetition_penalty=repetition_penalty,
            frequency_penalty=frequency_penalty,
            presence_penalty=presence_penalty,
        )

    def complete(
        self, rng: Rng, cond: Condition, given: Tensor, **options: Any
    ) -> Iterator[Tensor]:
        """Go on from the first tokens of each sample; else as `sample_steps`.

        Args:
            rng: One stream per sample.
            cond: Name -> (len(rng), ...).
            given: (len(rng), P) with P < L.
            options: Those of `Decoding.join`.

        Raises:
            BadInput: `given` leaves nothing to draw, or holds what is not a token.
        """
        n, known = given.shape
        if known >= self.length:
            raise BadInput(
                f"{known} tokens are given, but a datum has {self.length}: nothing is left to "
                f"draw. Give at most {self.length - 1}."
            )
        if known and not 0 <= int(given.min()) <= int(given.max()) < self.vocab:
            raise BadInput(
                f"the tokens given lie in [{int(given.min())}, {int(given.max())}]: they must lie "
                f"in [0, {self.vocab - 1}]."
            )
        rows = self.decoding(n)
        joined = rows.join(rng, cond, given, **options)
        for _ in range(known, self.length):
            drawn = rows.step()
            yield rows.data(0, n).view(n, *self.space.shape).clone()
            if bool((drawn == self.end).all()):
                return
            if all(row.over for row in joined):
                return

    def decoding(self, rows: int, *, fill: int = 1, bias: Bias | None = None) -> Decoding:
        """An object that draws up to `rows` samples at once; they may come and go.

        Args:
            rows: The most at once.
            fill: See `Decoding`.
            bias: See `Decoding`.
        """
        assert isinstance(self.space, Tokens)
        device = next(self.net.parameters()).device
        return Decoding(self.net, self.space, rows, device, fill=fill, bias=bias)

    def _logits(self, x: Tensor, cond: Condition) -> Tensor:
        """(B, *shape) -> (B, L, V)."""
        before = F.pad(x.flatten(1)[:, :-1], (1, 0), value=self.vocab)
        return self.net(before.masked_fill(before == self.end, self.vocab), cond)

    def _wanted(self, x: Tensor) -> Tensor:
        """What is to be predicted, (B, *shape) -> (B, L); UNASKED where ends fill up."""
        x = x.flatten(1)
        ends = F.pad(x == self.end, (1, 0))
        return x.masked_fill(ends[:, 1:] & ends[:, :-1], UNASKED)


def answers(
    x: Tensor, roles: tuple[tuple[int, ...], ...], end: int, *, closed: bool = False
) -> Tensor:
    """Which tokens of talks are the model's own: answers with what closes them, (B, L) -> (B, L).

    Args:
        x: Rows of documents.
        roles: Runs of tokens that open a part of a document, the last of them an answer.
        end: The token that closes a document. One without roles is its own throughout.
        closed: Whether answers have a closing of their own; else the next opening closes them.
    """
    place = torch.arange(x.shape[1], device=x.device)
    kind = torch.zeros_like(x)  # 1 where an opening is complete, 2 where that of an answer is
    opening = torch.zeros_like(x, dtype=torch.bool)
    for run in roles:
        before = len(run) - 1
        runs = F.pad(x, (before, 0), value=-1).unfold(1, len(run), 1)
        found = (runs == torch.tensor(run, device=x.device)).all(-1)
        kind = kind.masked_fill(found, 2 if run == roles[-1] else 1)
        opening |= F.pad(found, (0, before)).unfold(1, len(run), 1).any(-1)
    latest = torch.where((kind > 0) | (x == end), place, -1).cummax(1).values
    last = F.pad(latest[:, :-1], (1, 0), value=-1)  # the last mark before each token
    mark = kind.gather(1, last.clamp(min=0)).masked_fill(last < 0, 0)
    own = torch.where(mark == 0, ~opening, mark == 2)
    return own & ~opening if closed else own


def _trained(source: str, model: Autoregressive) -> Autoregressive:
    """A trained model that reads the same tokens."""
    from genloom import artifact

    found = artifact.load(source, device="cpu").model
    if not isinstance(found, Autoregressive):
        raise BadInput(f"{source} is a {type(found).__name__}: a base is autoregressive.")
    theirs, ours = ((m.vocab, list(m.conditions)) for m in (found, model))
    if theirs != ours:
        raise BadInput(
            f"{source} reads {theirs[0]} tokens given {theirs[1]}, the data are {ours[0]} given "
            f"{ours[1]}. Set data.tokenizer to that of the base."
        )
    return found
