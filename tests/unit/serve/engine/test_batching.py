"""Batches: a sample depends on its seed alone, a request on nobody's fate but its own."""

from __future__ import annotations

import gc
import json
import logging
import random
import weakref

import pytest
import torch

from genloom.core import Generative, Tokens
from genloom.decoding.penalties import PENALTIES
from genloom.errors import BadInput
from genloom.serve.engine.batching import Batcher
from genloom.serve.engine.crowd import PAD, shown
from genloom.serve.engine.messages import Done, Failed, NewTokens, Preview
from genloom.serve.engine.request import Request
from tests.tiny import PLANE, TinyFlow, TinyGan
from tests.unit.serve.engine.made import finals, held, plane, run

NAMES = ("gan", "vae", "flow", "autoregressive")


@pytest.fixture(scope="module")
def models() -> dict:
    torch.manual_seed(0)
    tiny = {"tiny_gan": plane(TinyGan(PLANE)), "tiny_flow": plane(TinyFlow(PLANE))}
    return {name: held(name) for name in NAMES} | tiny


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def crowd(name: str, n: int, **more) -> list[Request]:
    dice = random.Random(5)
    return [
        Request(
            model=name,
            seeds=tuple(dice.randrange(100) for _ in range(dice.choice((1, 1, 2, 3, 5)))),
            **more,
        )
        for _ in range(n)
    ]


@pytest.mark.parametrize("name", [*NAMES, "tiny_gan", "tiny_flow"])
def test_a_sample_alone_is_the_sample_in_a_crowd(models, name):
    """Byte for byte, points of unrounded floats included."""
    requests = crowd(name, 12)
    together = finals(run(Batcher(models, wait_s=0), requests))
    for request in requests:
        alone = finals(run(Batcher(models, wait_s=0), [request]))[request.id]
        assert torch.equal(alone.items, together[request.id].items)
        assert alone.records == together[request.id].records
        for i, seed in enumerate(request.seeds):
            single = Request(model=name, seeds=(seed,))
            (one,) = finals(run(Batcher(models, wait_s=0), [single])).values()
            assert torch.equal(one.items[0], alone.items[i])


@pytest.mark.parametrize("name", NAMES)
def test_it_is_the_sample_of_the_artifact(models, name):
    """Of the batch that the record names."""
    request = Request(model=name, seeds=(3,), label=7)
    (done,) = finals(run(Batcher(models), [request])).values()
    record = done.records[0]
    assert record["seed"] == "3" and record["label"] == "7" and record["model"] == "0" * 64
    options = json.loads(record["options"])
    known = models[name].options()
    assert known | options == known and known.keys() - options.keys() <= set(PENALTIES)
    assert record["batch"] == str(PAD)
    again = models[name].sample(PAD, seed=3, label=7, **options)
    assert torch.equal(again[:1], done.items)


def test_requests_of_one_kind_share_a_batch_and_others_do_not(models):
    defaults = models["flow"].options()
    requests = [
        Request(model="flow", seeds=(1, 2, 3)),
        Request(model="flow", seeds=(5,), options={"steps": 2}),
        Request(model="flow", seeds=(4,), options={"steps": defaults["steps"]}),
        Request(model="tiny_flow", seeds=(4,)),
    ]
    batcher = Batcher(models, wait_s=0)
    for request in requests:
        batcher.add(request)
    batcher.step()
    together = [[requests.index(job.request) for job in b.jobs] for b in batcher._running]
    assert sorted(together) == [[0, 2], [1], [3]]


def test_a_batch_holds_no_more_rows_than_the_model_may(models):
    batcher = Batcher(models, rows={"tiny_flow": 8}, wait_s=9.0)
    with pytest.raises(BadInput, match="at most 8 are made together"):
        batcher.add(Request(model="tiny_flow", seeds=tuple(range(9))))
    for k in range(3):
        batcher.add(Request(model="tiny_flow", seeds=(k, k + 1, k + 2)))
    batcher.step()
    (batch,) = batcher._running
    assert [job.request.seeds[0] for job in batch.jobs] == [0, 1]


def test_it_waits_for_company_but_not_for_long(models):
    clock = Clock()
    batcher = Batcher(models, wait_s=0.004, clock=clock)
    assert batcher.due_s() is None
    run(batcher, [Request(model="tiny_flow", seeds=(k,)) for k in range(3)])
    batcher.add(Request(model="tiny_flow", seeds=(1,)))
    clock.now = 0.003
    assert batcher.step() == [] and not batcher._running
    assert batcher.due_s() == pytest.approx(0.001)
    clock.now = 0.004
    batcher.step()
    assert len(batcher._running) == 1 and batcher.due_s() == 0.0
    run(batcher, [])
    batcher.add(Request(model="tiny_flow", seeds=(1,)))  # it was alone: nobody is waited for
    assert batcher.due_s() == 0.0


def test_as_many_as_last_time_start_at_once(models):
    clock = Clock()
    batcher = Batcher(models, wait_s=9.0, clock=clock)
    for _ in range(3):
        for k in range(3):
            batcher.add(Request(model="tiny_flow", seeds=(k,)))
        assert batcher.due_s() == 0.0
        batcher.step()
        (batch,) = batcher._running
        assert len(batch.jobs) == 3
        run(batcher, [])
    batcher.add(Request(model="tiny_flow", seeds=(1,), options={"steps": 2}))  # other company
    assert batcher.due_s() == 0.0


def test_sixteen_who_come_again_when_they_are_answered_end_up_together(models):
    """Each a while after its answer, a fifth of a batch's time at most.

    Three begin, and those who came too late for them wait for them: no later batch lacks anybody.
    """
    clock, dice, sizes = Clock(), random.Random(3), []
    batcher = Batcher(models, clock=clock)
    coming = [(0.001 * k, k) for k in range(16)]
    while len(sizes) < 40:
        clock.now += 0.002  # a step
        for when, k in [one for one in coming if one[0] <= clock.now]:
            coming.remove((when, k))
            batcher.add(Request(model="tiny_flow", seeds=(k,), options={"steps": 20}))
        done = finals(batcher.step())
        if done:
            sizes.append(len(done))
            coming += [(clock.now + dice.uniform(0.0, 0.008), k) for k in range(len(done))]
    assert sizes == [3] + [16] * 39


def test_who_comes_too_late_for_a_batch_shares_the_next_one(models):
    clock = Clock()
    batcher = Batcher(models, wait_s=0.0, clock=clock)
    for k in range(3):
        batcher.add(Request(model="tiny_flow", seeds=(k,), options={"steps": 50}))
        batcher.step()
    assert len(batcher._running) == 1
    clock.now = 9.9
    batcher.step()
    assert len(batcher._running) == 1
    clock.now = 10.1  # that batch takes long: they wait no more
    batcher.step()
    assert sorted(len(batch.jobs) for batch in batcher._running) == [1, 2]


def test_a_short_request_is_not_stuck_behind_a_long_one(models):
    batcher = Batcher(models, wait_s=0)
    long, short = (Request(model="tiny_flow", seeds=(1,), options={"steps": s}) for s in (500, 2))
    batcher.add(long)
    for _ in range(5):
        assert batcher.step() == []
    batcher.add(short)
    taken = next(k for k in range(1, 100) if batcher.step())
    assert taken <= 6
    assert batcher.requests == 1


def test_few_batches_run_at_once_and_those_who_wait_share_one(models):
    batcher = Batcher(models, wait_s=0, batches=2)
    for steps in (50, 51):
        batcher.add(Request(model="tiny_flow", seeds=(1,), options={"steps": steps}))
    batcher.step()
    waiting = [Request(model="tiny_flow", seeds=(k,)) for k in range(3)]
    for request in waiting:
        batcher.add(request)
        batcher.step()
    assert len(batcher._running) == 2
    while all(len(batch.jobs) == 1 for batch in batcher._running):
        batcher.step()
    assert waiting in [[job.request for job in batch.jobs] for batch in batcher._running]


def test_cancel_frees_rows_and_memory_within_a_step(models):
    batcher = Batcher(models, wait_s=0)
    long = [Request(model="tiny_flow", seeds=(k,), options={"steps": 500}) for k in range(2)]
    for request in long:
        batcher.add(request)
    batcher.step()
    guess = weakref.ref(batcher._running[0])
    assert batcher.cancel(long[0].id) and batcher.requests == 1
    assert batcher.step() == []
    assert batcher.cancel(long[1].id) and batcher.requests == 0
    gc.collect()
    assert guess() is None
    assert batcher.step() == [] and batcher.due_s() is None and batcher.in_use == set()
    assert not batcher.cancel(long[0].id)


def test_the_cancelled_get_nothing_and_their_neighbours_the_same(models):
    requests = crowd("flow", 4)
    expected = finals(run(Batcher(models), requests))
    batcher, events = Batcher(models, wait_s=0), []
    for request in requests:
        batcher.add(request)
    events += batcher.step()
    batcher.cancel(requests[1].id)
    while batcher.requests:
        events += batcher.step()
    found = finals(events)
    assert set(found) == {requests[k].id for k in (0, 2, 3)}
    assert all(torch.equal(found[id].items, expected[id].items) for id in found)


def test_a_request_that_waits_can_be_cancelled(models):
    batcher = Batcher(models, wait_s=9)
    request = Request(model="tiny_flow", seeds=(1,))
    batcher.add(request)
    assert batcher.cancel(request.id) and batcher.due_s() is None


def test_previews_are_shown_at_even_distances(models):
    request = Request(model="flow", seeds=(1, 2), options={"steps": 8}, previews=3)
    plain = Request(model="flow", seeds=(5,), options={"steps": 8})
    events = run(Batcher(models), [request, plain])
    previews = [e for e in events if isinstance(e, Preview)]
    assert [(e.id, e.step) for e in previews] == [(request.id, s) for s in (2, 4, 6)]
    assert all(e.items.shape == (2, 1, 8, 8) for e in previews)
    assert [type(e) for e in events if e.id == request.id][-1] is Done
    guesses = list(models["flow"].stream(4, seed=1, steps=8, label=0))
    labelled = Request(model="flow", seeds=(1,), label=0, options={"steps": 8}, previews=1)
    (preview, _) = run(Batcher(models), [labelled])
    assert torch.equal(preview.items, guesses[3][:1])


@pytest.mark.parametrize("total", [1, 2, 5, 16])
@pytest.mark.parametrize("previews", [0, 1, 4, 40])
def test_as_many_previews_as_wanted_or_as_there_are_steps(total, previews):
    count = sum(shown(step, total, previews) for step in range(1, total + 1))
    assert count == min(previews, total - 1)


def test_tokens_come_one_by_one_and_make_the_sample(models):
    model = models["autoregressive"]
    for prompt in ((), (3, 1, 4)):
        request = Request(model="autoregressive", seeds=(1, 2), prompt=prompt, tokens=True)
        quiet = Request(model="autoregressive", seeds=(9,), prompt=prompt)
        events = run(Batcher(models), [request, quiet])
        news = [e for e in events if isinstance(e, NewTokens)]
        assert {e.id for e in news} == {request.id}
        length = model.model.length
        assert [e.start for e in news] == list(range(len(prompt), length))
        drawn = torch.cat([torch.tensor([prompt] * 2).long(), *(e.tokens for e in news)], 1)
        x = drawn.view(2, *model.codec.space.shape)
        done = finals(events)[request.id]
        assert torch.equal(model.codec.decode(x), done.items)
        assert done.records[0].get("prompt", "") == " ".join(map(str, prompt))


def test_a_prompt_is_the_same_alone_and_in_a_crowd(models):
    requests = [Request(model="autoregressive", seeds=(k,), prompt=(k, 2)) for k in (1, 2, 3)] + [
        Request(model="autoregressive", seeds=(1,), prompt=(1,))
    ]
    together = finals(run(Batcher(models), requests))
    for request in requests:
        alone = finals(run(Batcher(models), [request]))[request.id]
        assert torch.equal(alone.items, together[request.id].items)


WRONG = {
    "no such option": {"model": "flow", "options": {"stepz": 3}},
    "out of range": {"model": "flow", "options": {"steps": 0}},
    "no such class": {"model": "flow", "label": 10},
    "labels that are too many": {"model": "flow", "label": (1, 2, 3)},
    "a label twice": {"model": "flow", "label": 1, "condition": {"label": torch.tensor([1])}},
    "no such condition": {"model": "flow", "condition": {"text": torch.tensor([1])}},
    "a condition out of range": {"model": "flow", "condition": {"label": torch.tensor([10])}},
    "a condition of reals": {"model": "flow", "condition": {"label": torch.tensor([1.0])}},
    "a condition of a wrong shape": {"model": "flow", "condition": {"label": torch.ones(2).long()}},
    "a prompt for a flow": {"model": "flow", "prompt": (1,)},
    "tokens of a flow": {"model": "flow", "tokens": True},
    "a prompt that is all": {"model": "autoregressive", "prompt": (1,) * 999},
    "a token that is none": {"model": "autoregressive", "prompt": (99_999,)},
    "a negative token": {"model": "autoregressive", "prompt": (-1,)},
}


@pytest.mark.parametrize("wrong", WRONG)
def test_a_wrong_request_is_refused_and_hurts_nobody(models, wrong):
    batcher = Batcher(models)
    good = Request(model=WRONG[wrong]["model"], seeds=(1,))
    batcher.add(good)
    with pytest.raises(BadInput):
        batcher.add(Request(seeds=(1,), **WRONG[wrong]))
    assert set(finals(run(batcher, []))) == {good.id}


def test_an_id_is_unique_among_those_under_way(models):
    batcher = Batcher(models)
    batcher.add(Request(model="tiny_gan", seeds=(1,), id="a"))
    with pytest.raises(BadInput, match="ids are unique"):
        batcher.add(Request(model="tiny_flow", seeds=(1,), id="a"))


def test_a_condition_is_a_label_by_another_name(models):
    given = Request(model="flow", seeds=(1,), condition={"label": torch.tensor([4])})
    named = Request(model="flow", seeds=(1,), label=4)
    done = finals(run(Batcher(models), [given, named]))
    assert torch.equal(done[given.id].items, done[named.id].items)
    assert done[given.id].records[0]["label"] == "4"


class Touchy(TinyFlow):
    """Breaks on negative labels, at its third step."""

    def sample_steps(self, rng, cond, *, steps: int = 4):
        for i, x in enumerate(super().sample_steps(rng, cond, steps=steps)):
            if i == 2 and (cond["label"] < 0).any():
                raise RuntimeError("it broke")
            yield x


def test_a_request_that_breaks_the_model_fails_alone(caplog):
    model = Touchy(PLANE, {"label": Tokens((), 2)})
    models: dict = {"touchy": plane(model)}
    fine = [Request(model="touchy", seeds=(k,), label=k, previews=3) for k in (0, 1)]
    bad = Request(model="touchy", seeds=(7,), label=-1, previews=3)
    with caplog.at_level(logging.ERROR):
        events = run(Batcher(models), [fine[0], bad, fine[1]])
    assert "it broke" in caplog.text
    failed = [e for e in events if isinstance(e, Failed)]
    assert [(e.id, e.error) for e in failed] == [(bad.id, "RuntimeError")]
    assert "it broke" not in failed[0].message
    found = finals(events)
    for request in fine:
        (alone,) = finals(run(Batcher(models), [request])).values()
        assert torch.equal(found[request.id].items, alone.items)
        assert [e.step for e in events if e.id == request.id and isinstance(e, Preview)] == [
            1,
            2,
            3,
        ]


class Blind(TinyGan):
    """Samples of an even seed are not finite; the codec refuses them."""

    def sample_steps(self, rng, cond):
        for x in super().sample_steps(rng, cond):
            odd = torch.tensor([s.initial_seed() % 2 for s in rng.streams])[:, None]
            yield torch.where(odd == 1, x, torch.nan)


def test_samples_that_are_not_finite_fail_their_own_request():
    models: dict = {"blind": plane(Blind(PLANE))}
    requests = [Request(model="blind", seeds=(k,)) for k in (1, 2, 3)]
    events = run(Batcher(models), requests)
    failed = [e for e in events if isinstance(e, Failed)]
    assert [(e.id, e.error) for e in failed] == [(requests[1].id, "Diverged")]
    assert "not finite" in failed[0].message
    assert set(finals(events)) == {requests[0].id, requests[2].id}


def test_sampling_makes_no_graph(models):
    seen = []

    class Watched(TinyFlow):
        def sample_steps(self, rng, cond, *, steps: int = 2):
            for x in super().sample_steps(rng, cond, steps=steps):
                seen.append((x.requires_grad, torch.is_inference_mode_enabled()))
                yield x

    model: Generative = Watched(PLANE)
    run(Batcher({"w": plane(model)}), [Request(model="w", seeds=(1,))])
    assert seen == [(False, True)] * 2
    assert not torch.is_inference_mode_enabled()
