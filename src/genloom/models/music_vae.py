"""MusicVAE: a code for a whole piece, and a decoder that plans it segment by segment.

Roberts et al., A hierarchical latent vector model for learning long-term structure in music, 2018
(arXiv:1803.05428), section 3, for documents of any tokens. A bidirectional recurrent encoder makes
the code z; a conductor reads z alone and makes an embedding for each segment; a decoder begins each
segment in a state that the embedding gives, and reads it with every token. So what a segment knows
of those before it, but for its first input, has gone through the code. Cells are GRUs, whose state
is one vector, where the paper has LSTMs; the conductor reads z at each of its steps and begins at
zero, where the paper begins at z and reads zeros; segments are so many tokens, not bars.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterator, Mapping
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
    Step,
    Terms,
    Tokens,
    hide,
    normal,
    uniform,
)
from genloom.decoding.filters import drawn, narrowed
from genloom.models import recurrent
from genloom.nets.embed import ConditionVector, vectors_alone

BOUND_DRAWS = 16
UNASKED = -100  # of a place that only fills up, see `torch.nn.functional.cross_entropy`


@final
class MusicVae(Generative):
    """A Gaussian code of each document, decoded in segments.

    Args:
        space: Tokens of any shape, read in raster order. Where it has an end, a datum is a document
            and the ends that fill its row up; several in a row have a code each.
        conditions: Those that enter as a vector; encoder and conductor read them.
        latent: Size of the code.
        segment: Tokens that the conductor plans at once; 0: the whole row, the flat decoder that
            the paper compares with (section 5).
        width: Of embeddings and states.
        layers: Of encoder, conductor and decoder.
        beta: Weight of the rate (the Kullback-Leibler divergence of posterior and prior).
        free_bits: Bits of a document's rate that cost nothing (section 2.1.1).
        anneal: Share of the run over which beta rises from 0.
        drop: Share of training rows whose conditions are hidden.

    Raises:
        BadInput: A condition enters as no vector.
    """

    spaces: ClassVar[tuple[type, ...]] = (Tokens,)
    recommended: Mapping[str, Any] = {**recurrent.RECOMMENDED, "batch": 32}
    likelihood: Literal["bound"] = "bound"
    estimator: ClassVar[str] = f"{BOUND_DRAWS} draws of the code, of a fixed seed"

    def __init__(
        self,
        space: Tokens,
        conditions: Mapping[str, Space],
        *,
        latent: Annotated[int, Interval(ge=1)] = 64,
        segment: Annotated[int, Interval(ge=0)] = 32,
        width: Annotated[int, Interval(ge=1)] = 256,
        layers: Annotated[int, Interval(ge=1)] = 1,
        beta: Annotated[float, Interval(ge=0)] = 0.2,
        free_bits: Annotated[float, Interval(ge=0)] = 16.0,
        anneal: Annotated[float, Interval(ge=0, le=1)] = 0.2,
        drop: Annotated[float, Interval(ge=0, le=1)] = 0.1,
    ):
        super().__init__(space, conditions)
        vectors_alone("music_vae", conditions)
        self.length, self.vocab, self.latent = math.prod(space.shape), space.vocab, latent
        self.end = -1 if space.end is None else space.end  # no token is -1
        self.segment = segment or self.length
        self.beta, self.free_bits, self.anneal, self.drop = beta, free_bits, anneal, drop
        self.embed = nn.Embedding(space.vocab + 1, width)  # and a start token
        self.cond = ConditionVector(conditions, width)
        depth = {"num_layers": layers, "batch_first": True}
        self.encoder = nn.GRU(width, width, bidirectional=True, **depth)
        self.posterior = nn.Linear(3 * width, 2 * latent)
        self.lift = nn.Linear(latent, width)
        self.conductor = nn.GRU(width, width, **depth)
        self.opening = nn.Linear(width, layers * width)
        self.guide = nn.Linear(width, width)
        self.decoder = nn.GRU(width, width, **depth)
        self.head = nn.Linear(width, space.vocab)
        self.posterior_nats: Tensor | None = None

    def losses(self, x: Tensor, cond: Condition, step: Step) -> Iterator[tuple[str, Terms]]:
        """Distortion and rate, in nats per place of a row, with the weight that beta has here."""
        grown = min(step.fraction / self.anneal, 1.0) if self.anneal else 1.0
        if cond and self.drop:
            cond = hide(cond, uniform(len(x), device=x.device) < self.drop)
        documents, row, length = parted(x.flatten(1), self.end)
        known = {name: value[row] for name, value in cond.items()}
        mean, log_std = self._posterior(documents, length, known)
        noise = normal(len(x), self.latent, device=x.device)[row]  # documents of a row share it
        rate = ((mean.square() + (2 * log_std).exp() - 1) / 2 - log_std).sum(1)
        self.posterior_nats = rate.detach().mean()
        nats = self._nats(documents, length, mean + log_std.exp() * noise, known)
        paid = (rate - self.free_bits * math.log(2)).clamp(min=0)
        weight = self.beta * grown / x.numel()
        yield "", {"distortion": nats.sum() / x.numel(), "rate": weight * paid.sum()}

    def vitals(self) -> Mapping[str, Tensor]:
        """Nats that the code carries about a document."""
        return {} if self.posterior_nats is None else {"posterior_nats": self.posterior_nats}

    def encode(self, x: Tensor, cond: Condition) -> Tensor:
        """The posterior's mean of the first document of each row: (B, *shape) -> (B, latent)."""
        documents, row, length = parted(x.flatten(1), self.end)
        known = {name: value[row] for name, value in cond.items()}
        first = torch.searchsorted(row, torch.arange(len(x), device=x.device))
        return self._posterior(documents, length, known)[0][first]

    def decode(self, z: Tensor, cond: Condition) -> Tensor:
        """Each token the likeliest after those before it: (B, latent) -> (B, *space.shape)."""
        nothing = torch.zeros(len(z), self.length, dtype=torch.float64, device=z.device)
        return deque(self._written(z, cond, nothing, temperature=0.0), maxlen=1).pop()

    def log_prob(self, x: Tensor, cond: Condition) -> Tensor:
        """The importance-weighted bound with 16 draws; see `bound`."""
        return self.bound(x, cond, BOUND_DRAWS)

    def bound(self, x: Tensor, cond: Condition, k: int) -> Tensor:
        """A lower bound on the log-likelihood, in nats, (B,); tighter with more draws.

        Burda et al., 2015 (arXiv:1509.00519), Eq. 8, of each document. The noise is that of a fixed
        seed, drawn on the CPU, so that the same batch always has the same bound.
        """
        documents, row, length = parted(x.flatten(1), self.end)
        known = {name: value[row] for name, value in cond.items()}
        mean, log_std = self._posterior(documents, length, known)
        stream, weights = torch.Generator().manual_seed(0), []
        for _ in range(k):
            eps = torch.randn(mean.shape, generator=stream).to(mean)
            z = mean + log_std.exp() * eps
            # The normal densities' constants cancel.
            ratio = ((eps.square() - z.square()) / 2 + log_std).sum(1)
            weights.append(ratio - self._nats(documents, length, z, known))
        found = torch.stack(weights).double().logsumexp(0) - math.log(k)
        return found.new_zeros(len(x)).index_add(0, row, found)

    def sample_steps(
        self,
        rng: Rng,
        cond: Condition,
        *,
        temperature: Annotated[float, Interval(ge=0, le=10)] = 1.0,
        top_p: Annotated[float, Interval(ge=0, le=1)] = 1.0,
    ) -> Iterator[Tensor]:
        """Yield the data after each token; what is not drawn yet is 0, or an end.

        Codes are of the prior; the options of `decoding.filters.narrowed` are for tokens.
        """
        z, draws = rng.normal(self.latent), rng.uniform(self.length)
        yield from self._written(z, cond, draws, temperature=temperature, top_p=top_p)

    def _posterior(self, x: Tensor, length: Tensor, cond: Condition) -> tuple[Tensor, Tensor]:
        """Mean and log deviation of the codes of documents (D, T), (D, latent) each."""
        packed = nn.utils.rnn.pack_padded_sequence(
            self.embed(x), length.cpu(), batch_first=True, enforce_sorted=False
        )
        forward, backward = self.encoder(packed)[1][-2:]
        read = torch.cat([forward, backward, self.cond(cond, len(x))], 1)
        mean, log_std = self.posterior(read).chunk(2, 1)
        return mean, log_std.clamp(-8, 4)

    def _plan(self, z: Tensor, cond: Condition, segments: int) -> Tensor:
        """What the conductor says of each segment: (D, latent) -> (D, segments, width)."""
        known = self.lift(z) + self.cond(cond, len(z))
        return self.conductor(known[:, None].expand(-1, segments, -1).contiguous())[0]

    def _opened(self, plan: Tensor) -> Tensor:
        """States that segments begin in: (N, width) -> (layers, N, width)."""
        state = self.opening(plan).tanh().unflatten(1, (self.decoder.num_layers, -1))
        return state.transpose(0, 1).contiguous()

    def _nats(self, x: Tensor, length: Tensor, z: Tensor, cond: Condition) -> Tensor:
        """What documents (D, T) cost given their codes, (D,)."""
        size = min(self.segment, x.shape[1])
        place = torch.arange(x.shape[1], device=x.device)
        wanted = x.masked_fill(place >= length[:, None], UNASKED)
        before = F.pad(x[:, :-1], (1, 0), value=self.vocab)
        wanted, before = (
            F.pad(part, (0, -part.shape[1] % size), value=value).unflatten(1, (-1, size))
            for part, value in ((wanted, UNASKED), (before, 0))
        )
        real = wanted[:, :, 0] != UNASKED  # segments that hold some of a document
        plan = self._plan(z, cond, real.shape[1])[real]
        inputs = self.embed(before[real]) + self.guide(plan)[:, None]
        logits = self.head(self.decoder(inputs, self._opened(plan))[0])
        nats = F.cross_entropy(logits.mT, wanted[real], reduction="none").sum(1)
        return nats.new_zeros(len(x)).index_add(0, real.nonzero()[:, 0], nats)

    def _written(
        self, z: Tensor, cond: Condition, draws: Tensor, **options: Any
    ) -> Iterator[Tensor]:
        """Data token by token from codes.

        Args:
            z: (n, latent).
            cond: Name -> (n, ...).
            draws: Uniform numbers, (n, length).
            options: Of `narrowed`.
        """
        plan = self._plan(z, cond, -(-self.length // self.segment))
        x = draws.new_full(draws.shape, max(self.end, 0), dtype=torch.long)
        token = x.new_full((len(z),), self.vocab)
        for first, now in zip(range(0, self.length, self.segment), plan.unbind(1), strict=True):
            guide, state = self.guide(now), self._opened(now)
            for i in range(first, min(first + self.segment, self.length)):
                over = token == self.end
                made, state = self.decoder((self.embed(token) + guide)[:, None], state)
                token = drawn(narrowed(self.head(made[:, 0]), **options), draws[:, i : i + 1])
                token = x[:, i] = token.masked_fill(over, self.end)
                yield x.view(-1, *self.space.shape).clone()
                if bool((token == self.end).all()):
                    return


def parted(x: Tensor, end: int) -> tuple[Tensor, Tensor, Tensor]:
    """The documents of rows.

    Args:
        x: (B, L).
        end: The token that closes a document; one that another follows only fills up. Where there
            is none in a row, all of it is one document.

    Returns:
        Documents (D, T), filled up with ends; the row of each, ascending, and its length with its
        end, (D,) each.
    """
    ends, last = x == end, x.shape[1] - 1
    place = torch.arange(x.shape[1], device=x.device)
    opens = F.pad(ends[:, :-1], (1, 0), value=True) & ~ends
    opens[:, 0] = True
    close = torch.where(ends, place, last).flip(1).cummin(1).values.flip(1)  # this or the next
    row, first = opens.nonzero(as_tuple=True)
    length = close[row, first] - first + 1
    at = first[:, None] + place[: int(length.max())]
    documents = x[row[:, None], at.clamp(max=last)]
    return documents.masked_fill(at >= (first + length)[:, None], end), row, length
