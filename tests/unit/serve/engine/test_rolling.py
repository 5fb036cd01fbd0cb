"""Token models: requests join and leave between tokens, and none of them notices another."""

from __future__ import annotations

import gc
import random
import re
import weakref
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest
import torch

from genloom.artifact import Artifact
from genloom.codecs import Text
from genloom.core import Items, Tokens
from genloom.decoding.writing import Writing
from genloom.errors import BadInput
from genloom.int8 import pack
from genloom.lexicon import END, Letters, Lexicon, Pieces, learn_pieces
from genloom.models.autoregressive import Autoregressive
from genloom.nets.transformer import Transformer
from genloom.safety.marks.tokens import Green, detect
from genloom.serve.engine import admission, rolling, thought
from genloom.serve.engine.admission import admit
from genloom.serve.engine.batching import Batcher
from genloom.serve.engine.marking import TextMark
from genloom.serve.engine.messages import Done, Event, Failed, NewTokens, Preview
from genloom.serve.engine.request import Request
from genloom.words import Words
from tests.unit.serve.engine.made import finals, held, run

ALPHABET = "abcdefghijklmnopqrstuvwxyz ,.\n"
LENGTH = 60
WORDS = ["abc. cab", "bad fed, dab", "deaf. ace\n"] * 3


def writer(
    width: int = 32,
    length: int = LENGTH,
    scale: float = 0.3,
    marks: tuple[str, ...] = (),
    lexicon: Lexicon | None = None,
) -> Artifact:
    """A model of text with random weights."""
    torch.manual_seed(1)
    items = Items("text", (length,), lexicon=lexicon or Letters(ALPHABET, marks=marks))
    codec = Text(items)
    net = partial(Transformer, width=width, layers=2, heads=2)
    model = Autoregressive(codec.space, {}, net=net)
    for p in model.parameters():
        torch.nn.init.normal_(p, std=scale)
    recipe = {"model": {"use": "autoregressive"}, "data": {"source": "text"}}
    return Artifact(Path(), recipe, {}, items, model.eval(), codec, "2" * 64)


@pytest.fixture(scope="module")
def models() -> dict[str, Artifact]:
    torch.manual_seed(0)
    return {
        "pixels": held("autoregressive"),
        "text": writer(),
        "wide": writer(96, 200, 0.1),
        "documents": writer(marks=(END,)),
        "pieces": writer(lexicon=Pieces(learn_pieces(WORDS, 300), marks=(END,))),
    }


def wish(dice: random.Random, name: str, length: int, vocab: int) -> Request:
    """A request of any kind that a token model takes."""
    known = dice.choice((0, 0, 1, 3, 17, length - 2))
    n, toward = dice.choice((1, 1, 1, 2, 5)), dice.choice((None, None, 77))
    return Request(
        model=name,
        seeds=tuple(dice.randrange(1000) for _ in range(n)),
        prompt=tuple(dice.randrange(vocab) for _ in range(known)),
        options=dice.choice(({}, {}, {"temperature": 0.7}, {"top_k": 3, "min_p": 0.1})),
        most=dice.choice((None, None, 1, 7, 30)),
        stop=dice.choice(((), (), ((3,), (1, 2)))),
        logprobs=dice.choice((None, None, 0, 2)),
        tokens=dice.random() < 0.3,
        previews=dice.choice((0, 0, 2)),
        toward=toward,
        mix=() if toward is None else tuple((i + 0.5) / n for i in range(n)),
    )


def same(a: Event, b: Event) -> bool:
    """Bit for bit, but for the name and the number of neighbours."""
    other = vars(b)
    return type(a) is type(b) and all(
        torch.equal(value, other[name]) if isinstance(value, torch.Tensor) else value == other[name]
        for name, value in vars(a).items()
        if name not in ("id", "crowd")
    )


@pytest.mark.parametrize(
    ("name", "count"), [("text", 200), ("pixels", 60), ("wide", 40), ("documents", 100)]
)
def test_requests_that_come_at_any_time_are_what_they_are_alone(models, name, count):
    """Other prompts, ends, options, numbers of rows; every event of every one, exactly."""
    dice, model = random.Random(11), models[name].model
    wishes = [wish(dice, name, model.length, model.vocab) for _ in range(count)]
    batcher, events, crowd = Batcher(models), [], []
    waiting = [replace(one) for one in wishes]
    while waiting or batcher.requests:
        for _ in range(dice.choice((0, 0, 1, 3))):
            if waiting:
                batcher.add(waiting.pop())
        events += batcher.step()
        crowd += [len(one._decoding.rows) for one in batcher._running if one._decoding]
    assert sum(crowd) / len(crowd) > 8  # they did meet
    for request in wishes:
        alone = run(Batcher(models), [request])
        together = [event for event in events if event.id == request.id]
        assert len(alone) == len(together)
        assert all(map(same, alone, together))
        assert not any(isinstance(event, Failed) for event in alone)


def test_most_ends_a_request_and_the_rest_is_zero(models):
    whole = Request(model="text", seeds=(1, 2), prompt=(4, 5))
    part = replace(whole, most=9, id="part")
    done = finals(run(Batcher(models), [whole, part]))
    assert done[whole.id].lengths == [LENGTH] * 2 and done["part"].lengths == [11] * 2
    assert torch.equal(done["part"].items[:, :11], done[whole.id].items[:, :11])
    assert not done["part"].items[:, 11:].any()
    assert done["part"].records[0]["length"] == "11"
    assert "length" not in done[whole.id].records[0]
    assert done["part"].stopped == [False, False]


def test_a_stop_sequence_ends_its_row_before_it_and_no_other_row(models):
    whole = Request(model="text", seeds=tuple(range(6)), prompt=(4, 5))
    texts = finals(run(Batcher(models), [whole]))[whole.id].items.tolist()
    stop = tuple(texts[2][20:22])

    def end(text: list[int]) -> int | None:  # what is given does not count
        found = [i for i in range(2, LENGTH - 1) if tuple(text[i : i + 2]) == stop]
        return found[0] if found else None

    request = replace(whole, stop=(stop, (ALPHABET.index("z"),) * 9), tokens=True, id="stops")
    events = run(Batcher(models), [request])
    done = finals(events)["stops"]
    ends = [end(text) for text in texts]
    assert ends[2] is not None and None in ends
    assert done.stopped == [at is not None for at in ends]
    assert done.lengths == [LENGTH if at is None else at for at in ends]
    for i, at in enumerate(done.lengths):
        assert done.items[i].tolist() == texts[i][:at] + [0] * (LENGTH - at)
    news = torch.cat([event.tokens for event in events if isinstance(event, NewTokens)], 1)
    for i, at in enumerate(ends):
        drawn = LENGTH - 2 if at is None else at
        assert news[i, :drawn].tolist() == texts[i][2 : 2 + drawn]
        assert (news[i, drawn:] == -1).all()


@pytest.mark.parametrize("stops", [("lo", "ello", "o"), ("ello", "o", "lo"), ("o", "lo", "ello")])
def test_of_several_stops_that_end_at_once_the_longest_is_cut(stops):
    letters = Letters("helo")
    artifact = writer(lexicon=letters)
    job = admit(Request(model="t", seeds=(1,), stops=stops), artifact, 1, 0.0)
    one = rolling.Drawing(job, [None], 5)
    one.begin()
    cuts = [one.stop(0, token) for token in letters.encode("hello")]
    assert cuts == [None] * 4 + [4]
    assert letters.decode(one.after[0]) == "ello"


@pytest.mark.parametrize("stop", ["hello", "lo", "h"])
def test_a_stop_text_leaves_whole_letters_before_it(stop):
    pieces = Pieces(learn_pieces(["hello hello"] * 9, 262))
    artifact, text = writer(lexicon=pieces), "a\U0001f600hello"
    job = admit(Request(model="t", seeds=(1,), stops=(stop,)), artifact, 1, 0.0)
    tokens = pieces.encode(text)
    one = rolling.Drawing(job, [None], len(tokens))
    one.begin()
    cuts = [one.stop(0, token) for token in tokens]
    cut = next(i for i, found in enumerate(cuts) if found is not None)
    needed = tokens[: cut + 1 - cuts[cut]]
    assert pieces.decode(needed).startswith(text[: text.index(stop)])
    assert not pieces.decode(needed[:-1]).startswith(text[: text.index(stop)])


def test_rows_are_free_as_soon_as_they_end(models):
    batcher = Batcher(models, rows={"text": 8})
    batcher.add(Request(model="text", seeds=tuple(range(8)), most=3))
    late = Request(model="text", seeds=(1, 2), most=1)
    batcher.add(late)
    assert [finals(batcher.step()) for _ in range(2)] == [{}, {}]
    assert len(finals(batcher.step())) == 1
    assert set(finals(batcher.step())) == {late.id}


def test_log_probabilities_are_those_of_the_model(models):
    request = Request(
        model="text", seeds=(1, 2), prompt=(7,), logprobs=3, options={"temperature": 0.5}
    )
    events = run(Batcher(models), [request])
    news = [event for event in events if isinstance(event, NewTokens)]
    nats = torch.cat([event.nats for event in news if event.nats is not None], 1)
    done = finals(events)[request.id]
    with torch.no_grad():
        expected = models["text"].model.token_log_prob(done.items, {})[:, 1:]
    torch.testing.assert_close(nats[..., 0], expected, atol=1e-4, rtol=0)
    assert (nats[..., 1:].diff(dim=-1) <= 0).all() and (nats[..., 1] >= nats[..., 0]).all()
    top = torch.cat([event.top for event in news if event.top is not None], 1)
    assert top.shape == nats[..., 1:].shape
    hit = (top == done.items[:, 1:, None]).nonzero().tolist()
    assert hit and all(nats[i, j, 1 + k] == nats[i, j, 0] for i, j, k in hit)


def test_a_prompt_is_scored_in_parts_before_the_first_token(models, monkeypatch):
    monkeypatch.setattr(thought, "READ", 2)
    request = Request(model="text", seeds=(1, 2), prompt=(7, 3, 5), most=4, logprobs=2)
    scored = replace(request, scored=True, id="scored")
    first, *rest = run(Batcher(models), [scored])
    plain = run(Batcher(models), [request])
    assert len(rest) == len(plain) and all(map(same, plain, rest))
    assert isinstance(first, NewTokens) and first.start == 0 and first.nats is not None
    assert first.tokens.tolist() == [[7, 3, 5]] and len(first.nats) == 1  # one for both rows
    done = finals(plain)[request.id]
    with torch.no_grad():
        expected = models["text"].model.token_log_prob(done.items, {})[:1, :3]
    torch.testing.assert_close(first.nats[..., 0], expected, atol=1e-4, rtol=0)
    assert first.top is not None and first.top.shape == (1, 3, 2)
    assert (first.nats[..., 1] >= first.nats[..., 0]).all()


def test_a_prompt_is_scored_under_the_condition_of_each_row():
    torch.manual_seed(1)
    items = Items("text", (20,), classes=("a", "b"), lexicon=Letters(ALPHABET))
    net, conditions = partial(Transformer, width=32, layers=1, heads=2), {"label": Tokens((), 2)}
    model = Autoregressive(Text(items).space, conditions, net=net)
    for p in model.parameters():
        torch.nn.init.normal_(p, std=0.3)
    recipe = {"model": {"use": "autoregressive"}, "data": {"source": "text"}}
    artifact = Artifact(Path(), recipe, {}, items, model.eval(), Text(items), "2" * 64)
    cond = {"label": torch.tensor([0, 1])}
    request = Request(
        model="t", seeds=(1, 2), prompt=(7, 3), most=1, logprobs=0, scored=True, label=(0, 1)
    )
    first = run(Batcher({"t": artifact}), [request])[0]
    assert isinstance(first, NewTokens) and first.nats is not None and first.top is None
    whole = torch.zeros(2, 20, dtype=torch.long)
    whole[:, :2] = first.tokens
    with torch.no_grad():
        expected = model.token_log_prob(whole, cond)[:, :2]
    torch.testing.assert_close(first.nats[..., 0], expected, atol=1e-4, rtol=0)
    assert not torch.allclose(expected[0], expected[1])
    alike = run(Batcher({"t": artifact}), [replace(request, label=(1, 1))])[0]
    assert isinstance(alike, NewTokens) and alike.nats is not None and len(alike.nats) == 1
    torch.testing.assert_close(alike.nats[..., 0], expected[1:], atol=1e-4, rtol=0)


def test_a_prompt_of_which_too_much_would_be_held_is_not_scored(models, monkeypatch):
    monkeypatch.setattr(admission, "LOGITS", 4 * len(ALPHABET) + 1)
    request = Request(model="text", seeds=(1,), prompt=(1,) * 5, most=1, logprobs=0)
    scored = replace(request, scored=True)
    run(Batcher(models), [request, replace(scored, prompt=(1,) * 4, id="short")])
    with pytest.raises(BadInput, match="has 5 tokens: of 'text' at most 4 are scored"):
        Batcher(models).add(scored)


def test_prompts_that_are_scored_are_read_once_more(models, monkeypatch):
    monkeypatch.setattr(rolling, "READ", 60)
    ask, joined = Request(model="text", seeds=(0,), prompt=(1,) * 20, logprobs=0), []
    for scored in (False, True):
        batcher = Batcher(models)
        for k in range(3):
            batcher.add(replace(ask, seeds=(k,), scored=scored, id=f"{k}"))
        batcher.step()
        joined.append(len(batcher._running[0]._decoding.rows))
    assert joined == [3, 1]


def test_long_prompts_do_not_keep_the_others_waiting(models, monkeypatch):
    monkeypatch.setattr(rolling, "READ", 60)
    batcher = Batcher(models)
    batcher.add(Request(model="text", seeds=(0,)))
    for k in range(4):
        batcher.add(Request(model="text", seeds=(k,), prompt=(1,) * 40))
    batcher.add(Request(model="text", seeds=(5, 6), prompt=(1,) * 40))  # more than that at once
    joined = []
    for _ in range(6):
        batcher.step()
        joined.append(len(batcher._running[0]._decoding.rows))
    assert joined == [2, 3, 4, 5, 7, 7]


def test_cancel_frees_rows_at_once_and_memory_at_the_end(models):
    batcher = Batcher(models)
    first, second = (Request(model="text", seeds=(k, 9)) for k in range(2))
    batcher.add(first)
    batcher.add(second)
    batcher.step()
    (rows,) = batcher._running
    assert batcher.cancel(first.id)
    batcher.step()
    assert len(rows._decoding.rows) == 2
    cache = weakref.ref(rows._decoding)
    del rows
    assert batcher.cancel(second.id) and batcher.requests == 0
    gc.collect()
    assert cache() is None


def test_a_step_that_breaks_fails_one_request_and_repeats_the_others(models):
    artifact = writer()
    opened = artifact.model.net._opened

    def touchy(cache, one):
        if (one.tokens == 13).any():
            raise RuntimeError("it broke")
        return opened(cache, one)

    artifact.model.net._opened = touchy
    fine = [Request(model="t", seeds=(k,), tokens=True, previews=1) for k in range(2)]
    bad = Request(model="t", seeds=(1,), prompt=(13, 13))
    batcher = Batcher({"t": artifact})
    events: list[Event] = []
    for request in (fine[0], bad, fine[1]):
        batcher.add(request)
        events += batcher.step()
    while batcher.requests:
        events += batcher.step()
    assert [event.id for event in events if isinstance(event, Failed)] == [bad.id]
    for request in fine:
        told = [event for event in events if event.id == request.id]
        alone = run(Batcher(models | {"t": models["text"]}), [request])
        assert len(told) == len(alone) and all(map(same, alone, told))


def test_an_end_that_breaks_takes_no_other_end_with_it(models):
    """Three end with one token, and the items of the second cannot be made."""
    artifact = writer()
    decode = artifact.codec.decode

    def touchy(x):
        if (x[:, 0] == 13).any():
            raise RuntimeError("it broke")
        return decode(x)

    artifact.codec.decode = touchy
    requests = [Request(model="t", seeds=(1,), prompt=(k,), most=3) for k in (5, 13, 6)]
    events = run(Batcher({"t": artifact}), requests)
    assert set(finals(events)) == {requests[0].id, requests[2].id}
    assert [event.id for event in events if isinstance(event, Failed)] == [requests[1].id]


WRONG = [
    {"most": 0},
    {"stop": ((),)},
    {"stop": (("a",),)},
    {"stops": ("a", "")},
    {"stops": ("\ud800",)},
    {"grammar": ("regex", "\ud800")},
    {"grammar": ("regex",)},
    {"grammar": ("regex", "(a")},
    {"grammar": ("regex", "a{9}"), "most": 8},
    {"grammar": ("regex", "Z")},
    {"logit_bias": ((0, 101.0),)},
    {"logit_bias": ((len(ALPHABET), 1.0),)},
    {"logprobs": 6},
    {"logprobs": True},
    {"scored": True},
    {"toward": 3},
    {"toward": 3, "mix": (1.1,)},
    {"mix": (0.5,)},
    {"toward": -1, "mix": (0.5,)},
    {"latent": torch.zeros(1, 4)},
    {"source": torch.zeros(1, LENGTH).long()},
]


@pytest.mark.parametrize("wrong", WRONG)
def test_what_makes_no_sense_is_refused(models, wrong):
    with pytest.raises(BadInput):
        Batcher(models).add(Request(model="text", seeds=(1,), **wrong))


def test_previews_of_pixels_show_what_is_drawn(models):
    request = Request(model="pixels", seeds=(1,), previews=1)
    events = run(Batcher(models), [request])
    (preview,) = [event for event in events if isinstance(event, Preview)]
    assert preview.step == models["pixels"].model.length // 2
    assert isinstance(events[-1], Done)


def test_texts_are_marked_where_that_is_wanted_and_pixels_never(models):
    green = Green(b"a secret of the house", context=2)
    marked, plain = Batcher(models, mark=TextMark(green)), Batcher(models)
    request = Request(model="wide", seeds=tuple(range(20)))
    told, bare = (finals(run(one, [request]))[request.id] for one in (marked, plain))
    assert told.records[0]["watermark"] == "tokens" and "watermark" not in bare.records[0]
    found = [detect(row.tolist(), green, len(ALPHABET)).p_value for row in told.items]
    assert max(found) < 1e-3
    other = [detect(row.tolist(), green, len(ALPHABET)).p_value for row in bare.items]
    assert min(other) > 1e-4 and sum(p < 0.1 for p in other) <= 7
    picture = Request(model="pixels", seeds=(1,))
    a, b = (finals(run(one, [picture]))[picture.id] for one in (marked, plain))
    assert torch.equal(a.items, b.items) and a.records == b.records
    message = TextMark(green).message()
    assert TextMark.read(message) == TextMark(green)


def test_a_mark_begins_where_its_context_is_whole(models):
    mark = TextMark(Green(b"a secret of the house", context=3))
    logits = torch.zeros(3, 29)
    previous = torch.full((3, 8), -1)
    previous[1, -2:], previous[2, -3:] = 5, 5
    changed = (mark(logits, previous) != logits).any(1)
    assert changed.tolist() == [False, False, True]


def test_a_row_ends_with_its_document(models):
    artifact = models["documents"]
    end = artifact.items.end
    done = finals(
        run(Batcher(models), [Request(model="documents", seeds=tuple(range(12)), id="x")])
    )
    found = done["x"]
    assert any(found.stopped) and torch.equal(found.items, artifact.sample(12))
    for item, length, ended in zip(found.items.tolist(), found.lengths, found.stopped, strict=True):
        assert (end in item) == ended
        assert length == (item.index(end) if ended else LENGTH)


def test_a_stop_text_ends_a_row_however_its_tokens_lie(models):
    whole = Request(model="pieces", seeds=(4,), id="whole")
    read = models["pieces"].items.read
    text = read(finals(run(Batcher(models), [whole]))["whole"].items[0])
    stops = [text[i : i + 3] for i in range(len(text) - 3) if text[i : i + 3].isascii()]
    for stop in stops[:: len(stops) // 5]:
        cut = replace(whole, stops=(stop, "\x00"), tokens=True, id="cut")
        events = run(Batcher(models), [cut])
        done = finals(events)["cut"]
        kept, place = read(done.items[0][: done.lengths[0]]), text.find(stop)
        assert done.stopped == [True] and text.startswith(kept)
        # whole pieces: all that the text before the stop needs, and none after that
        assert place <= len(kept)
        assert not place or len(read(done.items[0][: done.lengths[0] - 1])) < place
        drawn = torch.cat([e.tokens for e in events if isinstance(e, NewTokens)], 1)
        assert place + len(stop) <= len(read(drawn[0])) < place + len(stop) + 9


def test_a_text_that_stops_is_the_same_at_once_and_as_it_grows(models):
    lexicon, read = models["pieces"].items.lexicon, models["pieces"].items.read
    whole = Request(model="pieces", seeds=(4,), id="whole", tokens=True)
    text = read(finals(run(Batcher(models), [whole]))["whole"].items[0])
    within = [i for i in range(1, len(text) - 4) if text[i - 1 : i + 4].isascii()]
    several = [(text[i : i + 3], text[i + 1 : i + 3], text[i - 1 : i + 3]) for i in within]
    several += [(text[i : i + 1],) for i in within]
    requests = [replace(whole, stops=one, id=str(k)) for k, one in enumerate(several)]
    events = run(Batcher(models), requests)
    done, split = finals(events), 0
    for request in requests:
        grown, at_once = (Writing(lexicon, 1, LENGTH, request.stops) for _ in range(2))
        for event in events:
            if isinstance(event, NewTokens) and event.id == request.id:
                grown.add(event.tokens.tolist())
        found = done[request.id]
        kept = found.items[0, : found.lengths[0]].tolist()
        at_once.finish(0, [*kept, *found.after[0]], stopped=found.stopped[0])
        assert at_once.texts == grown.texts
        ends = [place for one in request.stops if (place := text.find(one)) >= 0]
        assert at_once.texts[0].text == text[: min(ends)]
        assert at_once.texts[0].reason == "stop"
        split += read(found.items[0, : found.lengths[0]]) != text[: min(ends)]
    assert split > 3  # in so many a stop begins within a token


def test_a_form_that_is_whole_with_the_last_token_has_stopped(models):
    forms = {"(ab|cd)\\.f": True, "(ab|cd)\\.fa?": False, "(ab|cd)(\\.f)+": False}
    for name in ("text", "documents"):
        ask = Request(model=name, seeds=(1, 2, 3), most=4)
        wishes = [replace(ask, grammar=("regex", form), id=form) for form in forms]
        done = finals(run(Batcher(models), wishes))
        assert [done[form].lengths for form in forms] == [[4] * 3] * 3
        assert {form: done[form].stopped for form in forms} == {
            form: [closed] * 3 for form, closed in forms.items()
        }


@pytest.mark.parametrize("name", ["text", "documents", "pieces"])
def test_a_form_is_held_in_company_and_ends_its_rows(models, name):
    grammar = ("regex", "[a-c]{3,20}\\.([d-f]\n)*")
    strict = Request(model=name, seeds=(1, 2), grammar=grammar, most=30, tokens=True, id="strict")
    free = Request(model=name, seeds=(3, 4, 5), id="free", prompt=(2, 3))
    once = replace(strict, options={"presence_penalty": 2.0}, logit_bias=((0, -9.0),), id="once")
    other = replace(strict, grammar=("regex", "d{2,29}e"), id="other")
    together = finals(run(Batcher(models), [free, strict, other, once]))
    for request in (free, strict, other, once):
        alone = finals(run(Batcher(models), [request]))[request.id]
        assert same(alone, together[request.id])
    for request in (strict, other, once):
        done, (_, regex) = together[request.id], request.grammar
        for item, length in zip(done.items, done.lengths, strict=True):
            assert re.fullmatch(regex, models[name].items.read(item[:length]))
        assert done.records[0]["regex"] == regex
    assert "logit_bias" in together["once"].records[0]


def test_a_form_that_is_over_ends_a_running_text_and_its_stream(models):
    grammar = ("regex", "(ab|cde)\\.")
    request = Request(model="text", seeds=(1, 2, 3, 4), grammar=grammar, tokens=True)
    events = run(Batcher(models), [request])
    (done,) = finals(events).values()
    texts = [models["text"].items.read(x[:n]) for x, n in zip(done.items, done.lengths)]
    assert set(texts) <= {"ab.", "cde."} and done.stopped == [True] * 4
    drawn = torch.cat([e.tokens for e in events if isinstance(e, NewTokens)], 1)
    writing = Writing(models["text"].items.lexicon, 4, 60, ())
    for column in drawn.split(1, 1):
        writing.add(column.tolist())
    assert [text.text for text in writing.texts] == texts
    assert {text.reason for text in writing.texts} == {"stop"}


def test_a_bias_rules_tokens_out(models):
    bias = tuple((token, -100.0) for token in range(4, len(ALPHABET)))
    request = Request(model="text", seeds=(1,), logit_bias=bias)
    (done,) = finals(run(Batcher(models), [request])).values()
    assert int(done.items.max()) < 4


def test_a_prompt_begins_what_is_valid(models):
    words = Words(("C", "N", "(", ")", "1", "2", "=", "O"), "smiles", marks=(END,))
    known = {"m": writer(lexicon=words)}
    ask = Request(model="m", seeds=tuple(range(8)), grammar=("form", "valid"), most=9)
    prompted = replace(ask, prompt=tuple(words.encode("C1C(")), id="prompted")
    done = finals(run(Batcher(known), [ask, prompted]))
    for request in (ask, prompted):
        found = done[request.id]
        for x, length in zip(found.items.tolist(), found.lengths, strict=True):
            text = words.decode(x[:length])
            assert text.startswith(words.decode(request.prompt)) and len(text) <= 13
            assert text.count("(") == text.count(")") and not text.count("1") % 2
        assert found.records[0]["form"] == "valid"
    for wrong in (
        replace(prompted, prompt=tuple(words.encode("=")), id="wrong"),
        replace(prompted, most=2, id="short"),
        replace(ask, model="text", id="text"),
    ):
        with pytest.raises(BadInput):
            Batcher(known | models).add(wrong)


def test_a_record_tells_of_packed_weights():
    artifact = writer(width=256)
    ask = Request(model="t", seeds=(1,), most=3)
    (plain,) = finals(run(Batcher({"t": artifact}), [ask])).values()
    pack(artifact.model.net)
    (small,) = finals(run(Batcher({"t": artifact}), [ask])).values()
    assert small.records[0] == plain.records[0] | {"int8": "weights"}
