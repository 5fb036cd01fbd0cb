"""An ensemble: several models as one mixture; each sample comes from one member, drawn by chance.

p(x) = sum_k share_k p_k(x). The members of a trained ensemble come from runs of their own (see
`genloom.ensembles`); trained as a family of its own, they learn side by side from the same batches.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Annotated, Any, ClassVar, Literal, final

import torch
from torch import Tensor, nn

from genloom.core import (
    Condition,
    Generative,
    Interval,
    Likelihood,
    Real,
    Rng,
    Space,
    Step,
    Terms,
    Tokens,
    Walk,
    options,
)
from genloom.errors import BadInput
from genloom.models.diffusion import Diffusion, flow

Member = Callable[..., Generative]
Kind = Literal["exact", "bound", "estimate"]
NAMES = ("one", "two", "three", "four", "five", "six", "seven", "eight")


@final
class Ensemble(Generative):
    """A mixture of two to eight models of one space.

    The member of a sample is drawn from the sample's own stream, so the mixture is exact and sample
    i depends on its own seed. Where every member has a likelihood, so has the mixture: exact if all
    are, a bound if the others are bounds (a sum of bounds is one), else an estimate.

    Args:
        space: One datum.
        conditions: The same for all members.
        one: The first member: a model of the catalog. Where no member is named there are two flows
            (a Real space only).
        two: The second, and so on.
        three: As before.
        four: As before.
        five: As before.
        six: As before.
        seven: As before.
        eight: As before.
        shares: Of the samples, one a member, of any positive scale; () for equal ones.

    Raises:
        BadInput: One member alone, a gap between them, a member that is no model, or shares that do
            not fit.
    """

    spaces = (Real, Tokens)
    recommended: ClassVar[Mapping[str, Any]] = Diffusion.recommended

    def __init__(
        self,
        space: Space,
        conditions: Mapping[str, Space],
        *,
        one: Member | None = None,
        two: Member | None = None,
        three: Member | None = None,
        four: Member | None = None,
        five: Member | None = None,
        six: Member | None = None,
        seven: Member | None = None,
        eight: Member | None = None,
        shares: tuple[float, ...] = (),
    ):
        super().__init__(space, conditions)
        given = [one, two, three, four, five, six, seven, eight]
        parts = [part for part in given if part is not None] or [flow, flow]
        if any(part is None for part in given[: len(parts)]) and any(given):
            raise BadInput(f"the members of an ensemble are {', '.join(NAMES)}, without a gap.")
        made = [part(space, conditions) for part in parts]
        for member in made:
            if not isinstance(member, Generative):
                raise BadInput(f"{type(member).__name__} is no model: an ensemble is of models.")
        self.members = nn.ModuleList(made)
        self.shares = _shares(shares, len(made))
        self.players = tuple(_inner(k, name) for k, m in enumerate(made) for name in m.players)
        self.averaged = tuple(_inner(k, name) for k, m in enumerate(made) for name in m.averaged)
        kinds: list[Kind] = [m.likelihood for m in made if isinstance(m, Likelihood)]
        if len(kinds) == len(made):  # only then is this a `core.Likelihood`
            self.likelihood: Kind = max(kinds, key=_ORDER.index)

    def prepare(self, x: Tensor, cond: Condition) -> None:
        """Let every member measure the data."""
        for member in self._each():
            member.prepare(x, cond)

    def losses(self, x: Tensor, cond: Condition, step: Step) -> Iterator[tuple[str, Terms]]:
        """Every member's players in turn, on the same batch."""
        for k, member in enumerate(self._each()):
            for player, terms in member.losses(x, cond, step):
                yield _inner(k, player), terms

    def log_prob(self, x: Tensor, cond: Condition) -> Tensor:
        """Log sum_k share_k p_k(x) in nats, (B,)."""
        found = [
            member.log_prob(x, cond) + math.log(share)
            for member, share in zip(self._each(), self.shares)
            if isinstance(member, Likelihood)
        ]
        return torch.logsumexp(torch.stack(found), 0)

    def sample_steps(
        self,
        rng: Rng,
        cond: Condition,
        *,
        steps: Annotated[int | None, Interval(ge=1, le=1000)] = None,
        guidance: Annotated[float | None, Interval(ge=0, le=20)] = None,
    ) -> Iterator[Tensor]:
        """Draw each sample from its member; one that is ready waits for the others.

        Args:
            rng: One stream per sample.
            cond: Name -> (len(rng), ...).
            steps: For the members that take steps; None leaves each its own default.
            guidance: For the members that can be guided, likewise.
        """
        logits = torch.tensor(self.shares, dtype=torch.float64).log().to(rng.device)
        member_of = rng.categorical(logits.expand(len(rng), -1))
        asked = {"steps": steps, "guidance": guidance}
        running: list[tuple[Tensor, Iterator[Tensor]]] = []
        for k, member in enumerate(self._each()):
            rows = (member_of == k).nonzero()[:, 0]
            if len(rows):
                known = options(member.sample_steps)
                chosen = {n: v for n, v in asked.items() if v is not None and n in known}
                part = {name: value[rows] for name, value in cond.items()}
                made = member.sample_steps(_streams(rng, rows.tolist()), part, **chosen)
                running.append((rows, iter(made)))
        guess: Tensor | None = None
        while running:
            moved = [
                (rows, found, x) for rows, found in running if (x := next(found, None)) is not None
            ]
            for rows, _, x in moved:
                if guess is None:
                    guess = x.new_empty(len(rng), *x.shape[1:])
                guess[rows] = x
            running = [(rows, found) for rows, found, _ in moved]
            if running and guess is not None:
                yield guess.clone()

    def _each(self) -> Sequence[Generative]:
        return [m for m in self.members if isinstance(m, Generative)]


_ORDER: tuple[Kind, ...] = (
    "exact",
    "bound",
    "estimate",
)  # a mixture is as good as its worst member


def _inner(k: int, name: str) -> str:
    """The path of a member's submodule."""
    return f"members.{k}.{name}".rstrip(".")


def _shares(given: Sequence[float], members: int) -> tuple[float, ...]:
    """One a member, with sum 1."""
    if members < 2:
        raise BadInput("an ensemble of one model is that model: name two members or more.")
    given = given or (1.0,) * members
    if len(given) != members:
        raise BadInput(f"{len(given)} shares for {members} members: give one each.")
    if not all(0 < share < math.inf for share in given):
        raise BadInput(
            f"shares = {tuple(given)}: each must be above 0; leave out what adds nothing."
        )
    return tuple(share / sum(given) for share in given)


def _streams(rng: Rng, rows: Sequence[int]) -> Rng:
    """The streams of some samples, which go on where they are."""
    part = copy.copy(rng)
    part.streams = [rng.streams[i] for i in rows]
    if isinstance(rng, Walk) and isinstance(part, Walk):
        part.others, part.mix = _streams(rng.others, rows), rng.mix[list(rows)]
    return part
