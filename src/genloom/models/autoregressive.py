"""Autoregressive model: each token from those before it, in raster order; exact likelihood.

p(x) = prod_i p(x_i | x_1 .. x_(i-1)): Bengio et al., A neural probabilistic language model, 2003;
on pixels van den Oord et al., 2016 (arXiv:1601.06759), Eq. 1. The default net is a transformer.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
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
from genloom.models import bases, preferences
from genloom.models.talks import answers, last_answer
from genloom.nets import lora
from genloom.nets.transformer import Transformer
from genloom.sampling import evaluating

# Of a token whose likelihood is not counted, see `torch.nn.functional.cross_entropy`.
UNASKED = -100

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
            all but the answers and what closes them. "preferred" learns from pairs of documents
            which answer to prefer, see `models.preferences`: the item, to the condition "rejected"
            of a batch, which no net reads and no sample is asked for. It needs a base.
        drop: Share of training rows whose conditions are hidden, so that the model can also be
            sampled without conditions.
        base: A trained model whose weights this one begins with: a run, its model folder, its name,
            or a checkpoint (see `hub.causal`). It must read the same tokens, and its net is taken
            where none is named. It is needed at the start of training alone; for preferences
            without a rank, throughout.
        rank: Of the differences that are learned in place of the base's weights, which stay as
            they are (see `nets.lora`); 0: all weights learn.
        alpha: How far the differences count; left out, twice the rank.
        beta: Of preferences: how dear it is to move away from the base; left out, 0.1.
        nll: Of preferences: weight of the nats per token of the chosen answers, which else may
            become less likely too (Pang et al., 2024, arXiv:2404.19733); left out, 0.

    Raises:
        BadInput: A rank or preferences without a base, a rank of a net that cannot be adapted, or
            an option of what is not asked for.
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
        learned: Literal["all", "answers", "preferred"] = "all",
        drop: Annotated[float, Interval(ge=0, le=1)] = 0.1,
        base: str | None = None,
        rank: Annotated[int | None, Interval(ge=0)] = None,
        alpha: Annotated[float | None, Interval(ge=0)] = None,
        beta: Annotated[float | None, Interval(ge=0)] = None,
        nll: Annotated[float | None, Interval(ge=0)] = None,
    ):
        super().__init__(space, conditions)
        self.length, self.vocab, self.drop = math.prod(space.shape), space.vocab, drop
        self.roles, self.closed = () if learned == "all" else space.roles, space.closed
        self.end = -1 if space.end is None else space.end  # no token is -1
        self.net = (net or self.usual_net(space))(space, conditions)
        self.base, self.rank, self.preferring = base, rank or 0, learned == "preferred"
        self.beta, self.nll = 0.1 if beta is None else beta, nll or 0.0
        self._reference, self._vitals = preferences.Reference(), {}
        if base is not None:
            whole, low_rank = (1e-5, 1e-4) if self.preferring else (5e-5, 2e-4)
            self.recommended = {**TUNING, "lr": low_rank if rank else whole}
        if self.preferring and base is None:
            raise BadInput("preferences change a trained model: name it, model.base.")
        if not self.preferring and (beta is not None or nll is not None):
            raise BadInput('beta and nll are of preferences: set model.learned = "preferred" too.')
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
            BadInput: See `bases.take`; or there are no pairs to learn from.
        """
        if self.preferring and "rejected" not in cond:
            raise BadInput("there are no pairs: give rows with prompt, chosen and rejected.")
        if self.base is not None:
            bases.take(self.base, self)

    def loss(self, x: Tensor, cond: Condition) -> Terms:
        """Nats per token."""
        pairs, cond = cond, {name: v for name, v in cond.items() if name in self.conditions}
        if cond and self.drop:
            cond = hide(cond, uniform(len(x), device=x.device) < self.drop)
        if self.preferring:
            return self._preferred(x, pairs["rejected"], cond)
        logits = self._logits(x, cond)
        wanted = self._learned(x)
        if not self.roles:
            return {"nats": F.cross_entropy(logits.flatten(0, 1), wanted.flatten())}
        nats = F.cross_entropy(logits.flatten(0, 1), wanted.flatten(), reduction="sum")
        return {"nats": nats / (wanted != UNASKED).sum().clamp(min=1)}  # there may be no answer

    def _preferred(self, x: Tensor, rejected: Tensor, cond: Condition) -> Terms:
        """Each document of the pairs in a pass of its own, whose draws are those of the batch."""
        sides = x, rejected.to(x)
        wanted = [self._learned(side) for side in sides]

        def said(net: nn.Module) -> Tensor:
            """Nats of the answers, (2, B)."""
            nats = (
                F.cross_entropy(self._logits(side, cond, net).float().mT, own, reduction="none")
                for side, own in zip(sides, wanted)
            )
            return -torch.stack([each.sum(1) for each in nats])

        policy = said(self.net)
        with torch.no_grad(), self._base_net(x.device) as net:
            reference = said(net)
        margins = preferences.margins(policy, reference, self.beta)
        self._vitals = preferences.vitals(margins)
        terms = {"preferred": preferences.loss(margins)}
        if self.nll:
            tokens = (wanted[0] != UNASKED).sum()
            terms["nats"] = -self.nll * policy[0].sum() / tokens.clamp(min=1)
        return terms

    @contextmanager
    def _base_net(self, device: torch.device) -> Iterator[nn.Module]:
        """The net of the base, without dropout: our own less what was learned, or a frozen one."""
        if self.rank:
            with lora.set_aside(self.net), evaluating(self.net):
                yield self.net
        else:
            yield self._reference.net(lambda: bases.read(str(self.base), self).net, device)

    def vitals(self) -> Mapping[str, Tensor]:
        """Of preferences alone: see `preferences.vitals`."""
        return self._vitals

    def asked(self, x: Tensor) -> Tensor:
        """How many tokens of each document come before its last answer, (B, L) -> (B,).

        0 where there is none, and where whole documents are learned.
        """
        if not self.roles:
            return torch.zeros(len(x), dtype=torch.long, device=x.device)
        return last_answer(x.flatten(1), self.roles, self.end, closed=self.closed)

    def own(self, x: Tensor) -> Tensor:
        """Which tokens it is to say itself, all or those of answers, (B, *shape) -> bool (B, L)."""
        x = x.flatten(1)
        if not self.roles:
            return torch.ones_like(x, dtype=torch.bool)
        return answers(x, self.roles, self.end, closed=self.closed)

    def token_log_prob(self, x: Tensor, cond: Condition) -> Tensor:
        """Nats of each token given those before it: (B, *shape) -> (B, L); 0 where ends fill up."""
        logits = self._logits(x, cond).float()
        return -F.cross_entropy(logits.mT, self._wanted(x), reduction="none")

    def log_prob(self, x: Tensor, cond: Condition) -> Tensor:
        """Nats of each datum, exact: (B,); of talks, if answers are learned, those of its own."""
        nats = self.token_log_prob(x, cond).double()
        return (nats.masked_fill(~self.own(x), 0) if self.roles else nats).sum(1)

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

    def _logits(self, x: Tensor, cond: Condition, net: nn.Module | None = None) -> Tensor:
        """(B, *shape) -> (B, L, V), of this net or another one."""
        before = F.pad(x.flatten(1)[:, :-1], (1, 0), value=self.vocab)
        return (net or self.net)(before.masked_fill(before == self.end, self.vocab), cond)

    def _learned(self, x: Tensor) -> Tensor:
        """`_wanted`, and of talks the answers alone."""
        wanted = self._wanted(x)
        return wanted.masked_fill(~self.own(x), UNASKED) if self.roles else wanted

    def _wanted(self, x: Tensor) -> Tensor:
        """What is to be predicted, (B, *shape) -> (B, L); UNASKED where ends fill up."""
        x = x.flatten(1)
        ends = F.pad(x == self.end, (1, 0))
        return x.masked_fill(ends[:, 1:] & ends[:, :-1], UNASKED)
