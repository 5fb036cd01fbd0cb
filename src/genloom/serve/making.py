"""From a request for samples to outputs: filter, sample, filter, encode, mark, record."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncGenerator, Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, final

from torch import Tensor

from genloom.artifact import class_index
from genloom.errors import BadInput
from genloom.safety.policy import Decision, Policy, Verdict
from genloom.serve import media
from genloom.serve.engine.messages import Done, NewTokens, Preview, Request
from genloom.serve.known import Known
from genloom.serve.problems import Problem
from genloom.serve.settings import Limits
from genloom.serve.store import Key, Keys, Origin, Record, Records

if TYPE_CHECKING:
    from genloom.serve.engine.pool import Pool


@dataclass(frozen=True, kw_only=True)
class Asked:
    """What somebody wants, checked.

    Args:
        known: Of which model.
        seeds: One for each sample.
        label: A class by name or index; None draws it from the seed.
        options: Of the model's sampling.
        prompt: Tokens that each sample begins with.
        told: Text that the filters read: the prompt as it was written.
        form: Of the files, see `media.FORMATS`.
        size: (width, height) that pictures are resized to.
        quality: Of JPEG and WebP.
        previews: Guesses to show on the way.
        tokens: Show tokens as they are drawn.
    """

    known: Known
    seeds: tuple[int, ...]
    label: int | str | None = None
    options: Mapping[str, Any] = field(default_factory=dict)
    prompt: tuple[int, ...] = ()
    told: str = ""
    form: str
    size: tuple[int, int] | None = None
    quality: int = 90
    previews: int = 0
    tokens: bool = False

    def request(self) -> Request:
        """For the engine."""
        return Request(
            model=self.known.name,
            seeds=self.seeds,
            label=self.label,
            options=self.options,
            prompt=self.prompt,
            previews=self.previews,
            tokens=self.tokens,
        )


@dataclass(frozen=True)
class Output:
    """One sample: recorded, or refused by a filter, and then nothing is kept of it.

    Args:
        seed: Of the sample.
        label: Its class by index, or None.
        record: None where it was refused.
        content: Its bytes; empty where it is held or refused.
        text: What it says, for texts that may be shown.
        why: Of a refusal.
    """

    seed: int
    label: str | None
    record: Record | None = None
    content: bytes = b""
    text: str | None = None
    why: str | None = None

    @property
    def state(self) -> str:
        """Of the record, or "refused"."""
        return "refused" if self.record is None else self.record.state


@final
@dataclass(frozen=True)
class Finished:
    """All outputs of a request."""

    outputs: list[Output]


@final
class Maker:
    """Makes outputs for callers.

    Args:
        pool: Of workers.
        keys: To count what a key makes.
        records: Of what was made.
        policy: Filters; None for none.
        mark: Puts the marks of the server on (content, media type, record).
    """

    def __init__(
        self,
        pool: Pool,
        keys: Keys,
        records: Records,
        policy: Policy | None,
        mark: Callable[[bytes, str, Mapping[str, str]], bytes],
    ):
        self.pool, self.keys, self.records = pool, keys, records
        self.policy, self.mark = policy, mark

    async def make(
        self, caller: Key, asked: Asked
    ) -> AsyncGenerator[Preview | NewTokens | Finished]:
        """Yield previews and tokens as they come, and at last what is finished.

        Stop iterating to cancel.

        Raises:
            Problem: The request is refused, by a limit or by a filter.
            Unavailable: No worker could do it.
        """
        await asyncio.to_thread(self.keys.spend, caller, len(asked.seeds))
        if self.policy is not None and asked.told:
            decision = await asyncio.to_thread(self.policy.inputs, asked.told, asked.known.name)
            if not decision.passes:
                why = "; ".join(finding.reason for finding in decision.findings)
                raise Problem(
                    400, f"the prompt is refused: {why}.", code="content_policy_violation"
                )
        async with self.pool.submit(asked.request()) as events:
            async for event in events:
                if isinstance(event, Done):
                    yield Finished(await asyncio.to_thread(self._finish, caller, asked, event))
                    return
                if isinstance(event, Preview | NewTokens):
                    yield event

    def _finish(self, caller: Key, asked: Asked, done: Done) -> list[Output]:
        items, texts = asked.known.items, None
        if items.kind == "text":
            texts = ["".join(items.alphabet[i] for i in row) for row in done.items.tolist()]
        decisions = [Decision()] * len(done.items)
        if self.policy is not None:
            looked_at = done.items if texts is None else texts
            decisions = self.policy.outputs(looked_at, model=asked.known.name)
        return [
            self._output(caller, asked, item, told, decision, texts[i] if texts else None)
            for i, (item, told, decision) in enumerate(
                zip(done.items, done.records, decisions, strict=True)
            )
        ]

    def _output(
        self,
        caller: Key,
        asked: Asked,
        item: Tensor,
        told: Mapping[str, str],
        decision: Decision,
        text: str | None,
    ) -> Output:
        seed, label = int(told["seed"]), told["label"] or None
        why = "; ".join(finding.reason for finding in decision.findings) or None
        if decision.verdict is Verdict.REFUSE:
            return Output(seed, label, why=why)
        kind = asked.known.items.kind
        _, media_type = media.media_type(kind, asked.form)
        content = media.encode(
            item, asked.known.items, asked.form, told, size=asked.size, quality=asked.quality
        )
        content = self.mark(content, media_type, told)
        options: dict[str, Any] = {"sampling": dict(asked.options), "format": asked.form}
        options |= {"prompt": list(asked.prompt)} if asked.prompt else {}
        options |= {"size": list(asked.size)} if asked.size else {}
        origin = Origin(
            model=asked.known.hash,
            data=asked.known.data,
            recipe=asked.known.recipe,
            seed=seed,
            label=label,
            options=options,
            software={key: told[key] for key in ("genloom", "batch", "threads") if key in told},
        )
        held_for = why if decision.verdict is Verdict.HOLD else None
        record = self.records.add(
            caller.id, content, origin, kind=kind, media_type=media_type, held_for=held_for
        )
        if held_for is not None:
            return Output(seed, label, record, why=why)
        return Output(seed, label, record, content, text)


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


def prompt_of(known: Known, text: str, limits: Limits) -> tuple[int, ...]:
    """The tokens of a text.

    Raises:
        Problem: The model goes on from no text, or does not know a character.
    """
    if len(text) > limits.prompt:
        raise Problem(400, f"a prompt has at most {limits.prompt} characters.", param="prompt")
    if not text:
        return ()
    if not known.tokens:
        raise Problem(400, f"{known.name} makes {known.items.kind}, not text.", param="prompt")
    number = {letter: i for i, letter in enumerate(known.items.alphabet)}
    for letter in text:
        if letter not in number:
            raise Problem(
                400,
                f"the model was trained without the character {letter!r}.",
                param="prompt",
                code="unknown_character",
            )
    return tuple(number[letter] for letter in text)
