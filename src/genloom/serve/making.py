"""From a request for samples to outputs: filter, sample, filter, encode, mark, record."""

from __future__ import annotations

import asyncio
import hashlib
import secrets
import time
from collections.abc import AsyncGenerator, Mapping
from dataclasses import dataclass, replace
from functools import cache, partial
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING, final

import torch
from torch import Tensor

from genloom.conditions import class_index
from genloom.decoding import grammars
from genloom.errors import BadInput
from genloom.safety.policy import Decision, Outcome, Policy, Verdict
from genloom.serve import media
from genloom.serve.asked import Asked
from genloom.serve.engine.faults import Full
from genloom.serve.engine.messages import Done, NewTokens, Preview
from genloom.serve.figures import Figures
from genloom.serve.gate import Gate, Standing
from genloom.serve.known import Known
from genloom.serve.marker import Marker
from genloom.serve.problems import Problem
from genloom.serve.settings import Limits
from genloom.serve.store import Key, Keys, Made, Origin, Record, Records

if TYPE_CHECKING:
    from genloom.serve.engine.answer import Answer
    from genloom.serve.engine.pool import Pool
    from genloom.serve.engine.request import Request


# Of what a worker tells of a sample:
SOFTWARE = ("genloom", "batch", "threads", "watermark", "int8")
WRITERS = {  # format -> libraries that files of it are made with
    "mid": ("mido",),
    "wav": ("numpy",),
    "smi": ("rdkit", "selfies"),
    "svg": ("rdkit", "selfies"),
}


@dataclass(frozen=True)
class Output:
    """One sample: recorded, or refused by a filter, and then nothing is kept of it.

    Args:
        seed: Of the sample.
        label: Its class by index, or None.
        record: None where it was refused.
        content: Its bytes; empty where it is held or refused.
        text: What it says, for texts that may be shown.
        tokens: Those of such a text, given ones and those of a text that stopped it included.
        why: Of a refusal.
        stopped: Whether a text ended by a stop or with its form, not by its length alone.
    """

    seed: int
    label: str | None
    record: Record | None = None
    content: bytes = b""
    text: str | None = None
    tokens: tuple[int, ...] = ()
    why: str | None = None
    stopped: bool = False

    @property
    def state(self) -> str:
        """Of the record, or "refused"."""
        return "refused" if self.record is None else self.record.state


@final
@dataclass(frozen=True)
class Finished:
    """All outputs of a request."""

    outputs: list[Output]

    def contents(self) -> list[bytes]:
        """The bytes of each; empty where it may not be seen."""
        return [output.content for output in self.outputs]

    def without_the_hidden(self, event: NewTokens) -> NewTokens:
        """The tokens of outputs that may be seen; -1 for those of all others."""
        hidden = torch.tensor([output.state != "free" for output in self.outputs])
        return replace(event, tokens=event.tokens.masked_fill(hidden[:, None], -1))


@final
class Maker:
    """Makes outputs for callers.

    Args:
        pool: Of workers.
        keys: To count what a key makes.
        records: Of what was made.
        policy: Filters; None for none.
        mark: Puts the marks of the server on (content, media type, record).
        gate: Which models may be used.
        figures: Where times, sizes of batches and refusals are counted.
    """

    def __init__(
        self,
        pool: Pool,
        keys: Keys,
        records: Records,
        policy: Policy | None,
        mark: Marker,
        gate: Gate,
        figures: Figures,
    ):
        self.pool, self.keys, self.records = pool, keys, records
        self.policy, self.mark, self.gate, self.figures = policy, mark, gate, figures

    async def make(
        self, caller: Key, asked: Asked, standing: Standing | None = None
    ) -> AsyncGenerator[Preview | NewTokens | Finished]:
        """Yield previews and tokens as they come, and at last what is finished.

        Of a model whose outputs are filtered nothing is shown before the filters have seen all of
        it: there are no previews, and tokens come at the end, -1 for texts that may not be seen.
        Stop iterating to cancel.

        Args:
            caller: For whom.
            asked: What.
            standing: What `admit` gave, where it was let in with others.

        Raises:
            GenloomError: As for `admit`.
            Unavailable: No worker could do it.
        """
        standing = standing or await self.admit(caller, asked)
        start, name = time.perf_counter(), asked.known.name
        kind = asked.known.items.kind
        judged = self.policy is not None and self.policy.judges(kind, name)
        held: list[NewTokens] = []
        slow = asked.original is not None  # its source is derived for each sample
        request = await asyncio.to_thread(asked.request) if slow else asked.request()
        async with self._submitted(request) as events:
            async for event in events:
                if isinstance(event, Done):
                    work = partial(self._finish, caller, asked, event, standing)
                    finished = Finished(await asyncio.to_thread(work))
                    self.figures.model_seconds.add(name, time.perf_counter() - start)
                    self.figures.model_rows.add(name, event.crowd)
                    for tokens in held:
                        yield finished.without_the_hidden(tokens)
                    yield finished
                    return
                if judged and isinstance(event, NewTokens):
                    held.append(event)
                elif not judged and isinstance(event, Preview):
                    yield replace(event, items=asked.kept(event.items))
                elif not judged and isinstance(event, NewTokens):
                    yield event

    async def admit(self, caller: Key, *each: Asked) -> Standing:
        """Let requests for one model in as one request: all of them, or none.

        What a filter refuses counts as a request of the minute, and costs no samples.

        Raises:
            Problem: The gate or a filter refuses it.
            Refusal: A limit of the key is reached; see `Keys.spend`.
            Full: The queue has no room for several.
        """
        known = each[0].known
        standing = self.gate.admit(known)
        if len(each) > 1:  # one alone is refused where it is submitted
            self._check_room(known, len(each))
        try:
            for asked in each if self.policy is not None else ():
                await asyncio.to_thread(self.check_told, asked)
        except Problem:
            await self.spend(caller, 0)
            raise
        await self.spend(caller, sum(len(asked.seeds) for asked in each))
        return standing

    def check_told(self, asked: Asked) -> None:
        """Refuse what the filters of inputs do not let pass.

        Raises:
            Problem: They do not.
        """
        if self.policy is None or not asked.told:
            return
        decision = self.policy.inputs(asked.told, asked.known.name)
        if not decision.passes:
            why = f"the prompt is refused: {_why(decision)}."
            raise Problem(400, why, code="content_policy_violation")

    def _check_room(self, known: Known, requests: int) -> None:
        queue = self.pool.stats()
        under_way = queue["waiting"] + queue["running"]
        if under_way + requests > queue["queue"]:
            self.figures.model_rejected[known.name] += 1
            raise Full(f"{under_way} requests wait or run already: come back later.")

    def _submitted(self, request: Request) -> Answer:
        try:
            return self.pool.submit(request)
        except Full:
            self.figures.model_rejected[request.model] += 1
            raise

    async def encode(self, caller: Key, known: Known, items: Tensor) -> Tensor:
        """The codes of items, (n, D); they count as samples.

        Raises:
            Problem: The gate lets nobody use the model.
            Refusal: A limit of the key is reached.
            Unavailable: No worker could do it.
        """
        self.gate.admit(known)
        await self.spend(caller, len(items))
        return await self.pool.encode(known.name, items)

    async def spend(self, caller: Key, samples: int) -> None:
        """Count samples; a key without limits is not written to, and needs no thread.

        Raises:
            Refusal: A limit is reached; see `Keys.spend`.
        """
        if caller.per_minute is None and caller.per_day is None:
            return
        await asyncio.to_thread(self.keys.spend, caller, samples)

    def _finish(self, caller: Key, asked: Asked, done: Done, standing: Standing) -> list[Output]:
        """Filter, encode and mark every sample, then record those that may be kept at once."""
        found, texts = asked.items(done), None
        if asked.known.items.kind == "text":
            texts = [asked.known.items.read(row) for row in found]
        decisions = [Decision()] * len(found)
        if self.policy is not None:
            looked_at = asked.kept(done.items) if texts is None else texts
            decisions = self.policy.outputs(looked_at, model=asked.known.name)
        pairs = zip(decisions, asked.spoilt(found), strict=True)
        decisions = [
            Decision((Outcome(Verdict.REFUSE, why),)) if why else decision
            for decision, why in pairs
        ]
        made: list[Made | None] = [
            None
            if decision.verdict is Verdict.REFUSE
            else self._made(asked, i, found[i], done.records[i], decision, standing)
            for i, decision in enumerate(decisions)
        ]
        kept = iter(self.records.add_all(caller.id, [one for one in made if one is not None]))
        outputs = []
        for i, (told, one) in enumerate(zip(done.records, made, strict=True)):
            record = None if one is None else next(kept)
            ended = bool(done.stopped) and done.stopped[i]
            output = Output(int(told["seed"]), told["label"] or None, record, stopped=ended)
            if one is None or record is None or record.state != "free":
                outputs.append(replace(output, why=_why(decisions[i])))
            else:
                text = None if texts is None else texts[i]
                after = done.after[i] if done.after else []
                tokens = () if texts is None else (*found[i].tolist(), *after)
                outputs.append(replace(output, content=one.content, text=text, tokens=tokens))
        return outputs

    def _made(
        self,
        asked: Asked,
        i: int,
        item: Tensor,
        told: Mapping[str, str],
        decision: Decision,
        standing: Standing,
    ) -> Made:
        known = asked.known
        _, media_type = media.media_type(known.items.medium, asked.form)
        plain = asked.encode(item, told)
        origin = Origin(
            model=known.hash,
            data=known.data,
            recipe=known.recipe,
            seed=int(told["seed"]),
            label=told["label"] or None,
            options=asked.recorded(i),
            software=software(told, asked),
        )
        return Made(
            content=self.mark(plain, media_type, told),
            origin=origin,
            kind=known.items.kind,
            media_type=media_type,
            held_for=_why(decision) if decision.verdict is Verdict.HOLD else None,
            plain_sha256=hashlib.sha256(plain).hexdigest(),
            report=standing.report,
            licence=known.licence,
            gate=standing.gate,
        )


def _why(decision: Decision) -> str | None:
    return "; ".join(finding.reason for finding in decision.findings) or None


def software(told: Mapping[str, str], asked: Asked) -> dict[str, str]:
    """What the last bits of a sample depend on, beside its request."""
    known = {key: told[key] for key in SOFTWARE if key in told}
    read = asked.grammar is not None and asked.grammar[0] in grammars.KINDS
    used = [*WRITERS.get(asked.form, ()), *(("llguidance",) if read else ())]
    there = {name: found for name in used if (found := _version(name))}
    return {**known, "torch": torch.__version__, **there}


@cache
def _version(library: str) -> str | None:
    """Of an installed library; None where it is not installed, and so did nothing."""
    try:
        return version(library)
    except PackageNotFoundError:
        return None


def seeds_of(seed: int | None, n: int, limits: Limits) -> tuple[int, ...]:
    """seed, seed + 1, ...; from a random one where none is given.

    Raises:
        Problem: Too many, or out of range.
    """
    if not 1 <= n <= limits.samples:
        raise Problem(400, f"n = {n}: it must be 1 to {limits.samples}.", param="n")
    first = secrets.randbelow(2**31) if seed is None else seed
    if not 0 <= first < 2**62:
        raise Problem(400, f"seed = {first}: it must be in [0, 2^62).", param="seed")
    return tuple(range(first, first + n))


def label_of(known: Known, label: int | str | None) -> int | str | None:
    """The label, if the model knows it.

    Raises:
        Problem: It does not.
    """
    if label is None:
        return None
    if not known.labelled:
        raise Problem(400, f"{known.name} was trained without labels.", param="label")
    try:
        return class_index(label, known.items.classes)
    except BadInput as error:
        raise Problem(400, str(error), param="label", code="invalid_value") from error
