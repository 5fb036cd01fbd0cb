"""Requests of a token model, in one batch without an end: they join and leave between tokens."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, final

import torch
from torch import Tensor

from genloom.artifact import Artifact
from genloom.decoding.rows import Bias, Decoding, Row
from genloom.int8 import Int8
from genloom.nets.packed import packed
from genloom.sampling import device_of
from genloom.serve.engine.crowd import PAD, Job, shown, streams, template_of
from genloom.serve.engine.messages import Event, NewTokens, Preview
from genloom.serve.engine.request import Request
from genloom.serve.engine.thought import likely, passes, scored

READ = 256  # tokens of prompts that are read between two tokens of the others, at least one prompt


@dataclass(eq=False)
class Drawing:
    """A job that has joined; its rows draw in step.

    Args:
        job: It.
        rows: One for each sample; None for those that have ended.
        total: How many tokens each row draws, at most.
        x: What the rows that have ended hold, (length,) each.
        ends: How many tokens those have.
        stopped: Whether each of them ended by a stop or with its form.
        after: The tokens of a stop text that each of them drew after its end.
        tails: The tokens that each row drew, where they may end it.
        drawn: How many were drawn.
    """

    job: Job
    rows: list[Row | None]
    total: int
    x: list[Tensor | None] = field(default_factory=list)
    ends: list[int] = field(default_factory=list)
    stopped: list[bool] = field(default_factory=list)
    after: list[list[int]] = field(default_factory=list)
    tails: list[list[int]] = field(default_factory=list)
    drawn: int = 0

    @property
    def place(self) -> int:
        """Of its last row."""
        return max(row.place for row in self.rows if row is not None)

    @cached_property
    def stops(self) -> tuple[tuple[int, ...], ...]:
        """Sequences of tokens that end a row: what was asked for, and the end of a document."""
        end = end_of(self.job)
        return (*asked(self.job).stop, *(() if end is None else ((end,),)))

    @property
    def early(self) -> bool:
        """Whether a row may end before it has drawn all of its tokens."""
        return bool(self.stops or asked(self.job).stops or self.job.constraint)

    def begin(self) -> None:
        """Once the rows are there."""
        n = len(self.rows)
        self.x, self.ends, self.stopped = [None] * n, [0] * n, [False] * n
        self.after, self.tails = [[] for _ in range(n)], [[] for _ in range(n)]

    def stop(self, i: int, token: int) -> int | None:
        """Of a row that this token ends, how many tokens it leaves behind; else None."""
        tail = self.tails[i]
        tail.append(token)
        for sequence in self.stops:
            if tuple(tail[-len(sequence) :]) == sequence:
                return len(sequence)
        found = [self._after(text, tail) for text in asked(self.job).stops]
        ends = [after for after in found if after is not None]
        if not ends:
            return None
        self.after[i] = max(ends, key=len)  # of the stop that begins first
        return len(self.after[i])

    def _after(self, stop: str, tail: Sequence[int]) -> list[int] | None:
        """The last of these tokens, which the text before a stop does not need; None without it."""
        last = list(tail[-len(stop.encode()) - 1 :])  # the last of its bytes is in the last token
        whole = self._read(last)
        if (place := whole.find(stop)) < 0:
            return None
        before = whole[:place]  # half a letter reads as another one
        reads = (self._read(last[:k])[:place] for k in range(len(last) + 1))
        return last[next(k for k, read in enumerate(reads) if read == before) :]

    def _read(self, tokens: Sequence[int]) -> str:
        lexicon = self.job.artifact.items.lexicon
        assert lexicon is not None
        return lexicon.decode(tokens)


@final
class Rolling:
    """Draws for the jobs of one model, in the order in which they came.

    Args:
        jobs: Of one model; more may be added while `open`.
        rows: The most that draw at once; the cache of so many is all the memory that this takes.
        bias: See `Decoding`.
        open: False where the jobs are to stay on their own.
    """

    def __init__(
        self, jobs: Sequence[Job], rows: int, *, bias: Bias | None = None, open: bool = True
    ):
        self.limit, self.bias, self.open = rows, bias, open
        self.waiting = deque(jobs)
        self._under_way: list[Drawing] = []
        self._decoding: Decoding | None = None
        self._templates: dict[tuple[Any, ...], dict[str, str]] = {}

    @property
    def artifact(self) -> Artifact:
        """Of the model."""
        return self.jobs[0].artifact

    @property
    def jobs(self) -> list[Job]:
        """Those that draw, then those that wait."""
        return [*self.begun, *self.waiting]

    @property
    def begun(self) -> list[Job]:
        """Those that draw."""
        return [one.job for one in self._under_way]

    @property
    def live(self) -> bool:
        """Whether anybody still waits for a job."""
        return any(job.live for job in self.jobs)

    @property
    def over(self) -> bool:
        """Whether there is nothing more to do."""
        return not self._under_way and not self.waiting

    def apart(self) -> list[Rolling]:
        """The same again, each job that draws on its own, and those that wait as before."""
        alone = [
            Rolling([job], job.rows, bias=self.bias, open=False) for job in self.begun if job.live
        ]
        return [*alone, *self.rest()]

    def rest(self) -> list[Rolling]:
        """Those that wait."""
        return [Rolling(self.waiting, self.limit, bias=self.bias)] if self.waiting else []

    def step(self) -> list[Event]:
        """Let those join who wait, draw a token in each row, and give what is new."""
        for one in [one for one in self._under_way if not one.job.live]:
            self._free(one.rows)
            self._under_way.remove(one)
        self.waiting = deque(job for job in self.waiting if job.live)
        self._join()
        if not self._under_way:
            return []
        token = self._rows().step()
        gone: list[Row | None] = []
        ended: list[Drawing] = []
        events: list[Event] = []
        drawing = [one for one in self._under_way if one.place < len(token)]
        for one in drawing:
            one.drawn += 1
            events += self._news(one, token)
            if self._ended(one, token, gone):
                ended.append(one)
                events.append(self._done(one))
        for one in self._under_way:  # only now: an error above brings all of them here again
            one.job.told = max(one.job.told, one.drawn)
        self._under_way = [one for one in self._under_way if one not in ended]
        self._free(gone)
        return events

    def _rows(self) -> Decoding:
        decoding = self._decoding
        if decoding is None:
            model: Any = self.artifact.model
            decoding = self._decoding = model.decoding(self.limit, fill=PAD, bias=self.bias)
        return decoding

    def _join(self) -> None:
        """Let those who wait join, in their order; those that are alike join at once."""
        read = 0
        while jobs := self._next(read):
            first, prompt = jobs[0], asked(jobs[0]).prompt
            read += sum(_reads(job) for job in jobs)
            model: Any = first.artifact.model
            left = model.length - len(prompt)
            joining = [Drawing(job, [], min(asked(job).most or left, left)) for job in jobs]
            self._under_way += joining  # first: an error below is one of theirs
            device = device_of(model)
            given = [asked(job).prompt for job in jobs for _ in range(job.rows)]
            rows = self._rows().join(
                streams([asked(job) for job in jobs], device, fill=1),
                {
                    name: torch.cat([job.cond[name] for job in jobs]).to(device)
                    for name in first.cond
                },
                torch.tensor(given, dtype=torch.long, device=device).view(len(given), len(prompt)),
                constraint=first.constraint,
                most=joining[0].total,
                logit_bias=asked(first).logit_bias,
                **first.options,
            )
            for one in joining:
                one.rows += rows[: one.job.rows]
                rows = rows[one.job.rows :]
                one.begin()

    def _next(self, read: int) -> list[Job]:
        """The jobs that join now and together, after so many tokens have been read."""
        jobs: list[Job] = []
        room = self.limit - len(self._rows().rows)
        while self.waiting:
            job = self.waiting[0]
            more = _reads(job)
            other = jobs and alike(job) != alike(jobs[0])
            if job.rows > room or other or (read and read + more > READ):
                break
            jobs.append(self.waiting.popleft())
            room, read = room - job.rows, read + more
        return jobs

    def _free(self, rows: Iterable[Row | None]) -> None:
        for row in rows:
            if row is not None:
                self._rows().leave(row)

    def _news(self, one: Drawing, token: Tensor) -> list[Event]:
        """Of a job, after a token; nothing that was told before it was begun again."""
        request, codec = asked(one.job), one.job.artifact.codec
        if one.drawn <= one.job.told:
            return []
        events: list[Event] = []
        if request.scored and request.prompt and one.drawn == 1:
            events.append(self._scored(one))
        if request.tokens or request.logprobs is not None:
            events.append(self._told(one, token))
        if shown(one.drawn, one.total, request.previews):
            events.append(Preview(request.id, one.drawn, codec.decode(self._x(one).cpu())))
        return events

    def _told(self, one: Drawing, token: Tensor) -> NewTokens:
        request = asked(one.job)
        start = len(request.prompt) + one.drawn - 1
        gone = [row is None or _ended_by_form(one, row) for row in one.rows]
        places = torch.tensor(
            [-1 if over or row is None else row.place for over, row in zip(gone, one.rows)]
        )
        tokens = token[places].masked_fill(places.to(token.device) < 0, -1)[:, None]
        if request.logprobs is None:
            return NewTokens(request.id, start, tokens)
        logits = self._rows().logits
        assert logits is not None, "a token was drawn"
        nats = logits[places].double().log_softmax(-1)
        nats[places < 0] = 0  # of rows that have ended there is nothing to say
        told, best = likely(nats, tokens[:, 0].clamp(min=0), request.logprobs)
        return NewTokens(request.id, start, tokens, told[:, None], _several(best[:, None]))

    def _scored(self, one: Drawing) -> NewTokens:
        """What the model thinks of a prompt."""
        request, rows = asked(one.job), self._rows()
        given = torch.tensor(request.prompt, device=device_of(self.artifact.model))
        nats, best = scored(rows.net, rows.start, given, one.job.cond, request.logprobs or 0)
        return NewTokens(request.id, 0, given.expand(len(nats), -1), nats, _several(best))

    def _ended(self, one: Drawing, token: Tensor, gone: list[Row | None]) -> bool:
        """Note which rows end with this token; whether none is left."""
        last, held = one.drawn == one.total, len(asked(one.job).prompt) + one.drawn
        for i, row in enumerate(one.rows):
            if row is None or not (last or one.early):
                continue
            if _ended_by_form(one, row):
                cut = 1  # what was drawn after it is blank
            else:
                cut = one.stop(i, int(token[row.place])) if one.early else None
            if last or cut is not None:
                x = self._rows().data(row.place, 1)[0].clone()
                end = held - (cut or 0)
                x[end:] = self._rows().blank
                stopped = cut is not None or (row.strict is not None and row.strict.closed)
                one.x[i], one.ends[i], one.stopped[i] = x, end, stopped
                gone.append(row)
                one.rows[i] = None
        return all(row is None for row in one.rows)

    def _done(self, one: Drawing) -> Event:
        options = tuple(sorted(one.job.options.items()))
        if options not in self._templates:
            told = {} if self.bias is None else {"watermark": "tokens"}
            told |= {"int8": "weights"} if self._small() else {}
            self._templates[options] = template_of(one.job) | told
        template, crowd = self._templates[options], len(self._rows().rows)
        ends = one.ends, one.stopped, one.after
        return one.job.done(self._x(one), template, *ends, crowd=crowd)

    def _small(self) -> bool:
        return any(isinstance(one, Int8) for one in packed(self.artifact.model))

    def _x(self, one: Drawing) -> Tensor:
        """What the rows of a job hold, (n, *space.shape)."""
        rows = [
            self._rows().data(row.place, 1)[0] if row is not None else x
            for row, x in zip(one.rows, one.x, strict=True)
        ]
        held = torch.stack([x for x in rows if x is not None])
        return held.view(-1, *one.job.artifact.codec.space.shape)


def alike(job: Job) -> tuple[Any, ...]:
    """Equal for jobs whose rows can join at once."""
    request = asked(job)
    grammar = None if request.grammar is None else (*request.grammar, request.most)
    options = *sorted(job.options.items()), request.logit_bias
    return len(request.prompt), options, tuple(sorted(job.cond)), grammar


def _reads(job: Job) -> int:
    """Tokens that are read for it before it draws: its prompt in each row, and to be scored."""
    request = asked(job)
    again = passes(job.cond) if request.scored else 0
    return (job.rows + again) * len(request.prompt)


def _several(tokens: Tensor) -> Tensor | None:
    """(..., j) as an event has it: None where j is 0."""
    return tokens if tokens.shape[-1] else None


def _ended_by_form(one: Drawing, row: Row) -> bool:
    """Whether a row is over though no end was drawn, for there is none: of a running text."""
    return row.over and end_of(one.job) is None


def end_of(job: Job) -> int | None:
    """The token that closes what its model draws; items may have another one, or be no tokens."""
    space: Any = job.artifact.codec.space
    return space.end


def asked(job: Job) -> Request:
    """The request of a job that draws."""
    assert isinstance(job.request, Request)
    return job.request
