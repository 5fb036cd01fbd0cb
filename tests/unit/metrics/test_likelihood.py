"""Likelihoods: one unit, the uniform model exactly eight bits, tags and forms."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch

from genloom.answering import unsaid
from genloom.codecs.image import Image
from genloom.codecs.text import Text
from genloom.core import Generative, Items, Real, Tokens
from genloom.errors import Refused
from genloom.lexicon import END, Letters
from genloom.metrics.likelihood import independent, likelihood, per_byte
from genloom.models.masked_diffusion import DRAWS, MaskedDiffusion
from genloom.models.talks import answers, last_answer
from genloom.words import Words

PICTURES = Items("image", (1, 4, 4))
WORDS = Items("text", (8,), lexicon=Letters("abcd"))


class Uniform(Generative):
    """Every value of every entry is equally likely."""

    spaces = (Real, Tokens)
    likelihood = "exact"

    def log_prob(self, x, cond):
        space = self.space
        values = space.levels if isinstance(space, Real) else space.vocab
        nats = math.log(values) * math.prod(space.shape)
        return torch.full((len(x),), -nats, dtype=torch.float64)

    def sample_steps(self, rng, cond):
        yield rng.normal(*self.space.shape)


def images(n, levels=256):
    return torch.randint(levels, (n, 1, 4, 4)).to(torch.uint8)


def test_a_uniform_model_is_worth_eight_bits():
    codec = Image(PICTURES)
    found = likelihood(Uniform(codec.space, {}), codec, images(40), {})
    assert found.value == 8.0 and found.unit == "bits/dim" and found.tag == "exact"
    assert found.id == "exact; items as stored" and found.name == "bits_per_dim"


def test_four_characters_are_worth_two_bits():
    codec = Text(WORDS)
    items = torch.randint(4, (40, 8))
    found = likelihood(Uniform(codec.space, {}), codec, items, {})
    assert found.name == "bits_per_char" and found.value == pytest.approx(2.0)


def test_an_event_of_music_is_a_word_however_long_its_name_is():
    words = Words(("Bar", "Pitch_60"), "events", marks=(END,))
    codec = Text(Items("text", (8,), lexicon=words))
    items = torch.randint(2, (40, 8))
    items[:, -1] = words.end
    found = likelihood(Uniform(codec.space, {}), codec, items, {})
    assert (found.name, found.unit) == ("bits_per_word", "bits/word")
    assert found.value == pytest.approx(8 * math.log2(3) / 7)


def test_the_batch_does_not_matter_and_too_few_are_refused():
    class Odd(Uniform):
        def log_prob(self, x, cond):
            return -x.flatten(1).square().sum(1).double()

    codec, items = Image(PICTURES), images(40)
    model = Odd(codec.space, {})
    one, two = (likelihood(model, codec, items, {}, batch=b) for b in (7, 64))
    assert one.value == pytest.approx(two.value, rel=1e-9) and one.low < one.value < one.high
    with pytest.raises(Refused, match="at least 30"):
        likelihood(model, codec, items[:29], {})


def test_a_likelihood_that_is_not_finite_is_refused():
    class Sure(Uniform):
        def log_prob(self, x, cond):
            return torch.full((len(x),), -math.inf)

    codec = Image(PICTURES)
    with pytest.raises(Refused, match="not finite"):
        likelihood(Sure(codec.space, {}), codec, images(40), {})


def test_independent_entries_reach_their_entropy():
    """Two equally likely values of 256: one bit a dimension, and a little for the counts."""
    train, items = (255 * torch.randint(2, (n, 1, 4, 4)).to(torch.uint8) for n in (5000, 200))
    assert independent(train, items, PICTURES) == pytest.approx(1.0, abs=0.01)
    points = Items("points", (2,))
    x, y = torch.randn(5000, 2), torch.randn(500, 2)
    assert independent(x, y, points) == pytest.approx(1 + math.log(2 * math.pi), abs=0.2)


def test_points_without_a_density_are_refused_whatever_the_units():
    about, x = Items("points", (3,)), torch.randn(500, 3)
    x[:, 2] = 7.0
    with pytest.raises(Refused, match="x2 has one value in all training points"):
        independent(x, x, about)
    x[:, 2] = x[:, 0] / 3 - 1e3 * x[:, 1]
    with pytest.raises(Refused, match="follows from the others"):
        independent(x, x, about)
    units = torch.tensor([1.0, 1e4, 1e-4])
    x = torch.randn(5000, 3)
    wanted = 1.5 * (1 + math.log(2 * math.pi)) + float(units.log().sum())
    assert independent(x * units, x * units, about) == pytest.approx(wanted, abs=0.1)


def test_points_on_a_line_have_a_normal_density():
    x = 3 * torch.randn(5000, 1)
    wanted = (1 + math.log(2 * math.pi)) / 2 + math.log(3)
    assert independent(x, x, Items("points", (1,))) == pytest.approx(wanted, abs=0.05)


def test_documents_are_measured_by_their_own_letters():
    """Three bits a letter and one for the end, over documents of 1 to 7 letters."""
    codec = Text(Items("text", (8,), lexicon=Letters("abcd", marks=(END,))))
    items = torch.full((70, 8), 4)
    for i, row in enumerate(items):
        row[: 1 + i % 7] = torch.randint(4, (1 + i % 7,))

    class Known(Uniform):
        def log_prob(self, x, cond):
            return -math.log(2) * (3.0 * (x < 4).sum(1) + 1).double()

    found = likelihood(Known(codec.space, {}), codec, items, {})
    assert found.value == pytest.approx(3 + 1 / 4)  # of four letters on average
    plain = independent(items, items, codec.items)
    assert 2 < plain < 2 + 2.9 / 4 + 0.2  # the letters, and at each place whether it is the end


def test_bits_per_byte_are_of_the_same_nats_over_the_bytes_of_the_text():
    """Two bits a letter: of a letter of three bytes two thirds; and roles have no bytes."""
    about = Items("text", (8,), lexicon=Letters("\u671b\u660e\u6708\u5149"))
    items = torch.randint(4, (40, 8))
    codec = Text(about)
    found = per_byte(likelihood(Uniform(codec.space, {}), codec, items, {}), items, about)
    assert (found.name, found.unit, found.tag) == ("bits_per_byte", "bits/byte", "exact")
    assert found.value == pytest.approx(2 / 3) and found.low == pytest.approx(found.high)
    talks = Items("text", (4,), lexicon=Letters("ab", marks=("user", END)))
    rows = torch.tensor([[2, 0, 1, 3]]).repeat(40, 1)  # [user] ab and the end
    codec = Text(talks)
    chars = likelihood(Uniform(codec.space, {}), codec, rows, {})
    bits = per_byte(replace(chars, trivial=chars.value), rows, talks)
    assert bits.value == bits.trivial == pytest.approx(4 * 2 / 2)


def test_the_estimator_of_a_bound_is_named():
    class Bounded(Uniform):
        likelihood = "bound"
        estimator = "16 draws a datum"

    codec = Image(PICTURES)
    found = likelihood(Bounded(codec.space, {}), codec, images(40), {})
    assert found.id == "bound (16 draws a datum); items as stored" and found.tag == "bound"
    assert MaskedDiffusion.estimator.startswith(f"{DRAWS} stratified draws")


class Talker(Generative):
    """Each token that it is to say costs one nat for each place before it, and one."""

    spaces = (Tokens,)
    likelihood = "exact"

    def log_prob(self, x, cond):
        cost = torch.arange(1, x.shape[1] + 1, dtype=torch.float64).expand(x.shape)
        return -cost.masked_fill(~self.own(x), 0).sum(1)

    def own(self, x):
        return answers(x, self.space.roles, self.space.end)

    def asked(self, x):
        return last_answer(x, self.space.roles, self.space.end)

    def decoding(self, rows, *, fill=1):
        raise NotImplementedError

    def sample_steps(self, rng, cond):
        yield rng.normal(*self.space.shape)


def test_of_talks_the_answers_count_and_names_of_roles_do_not():
    lexicon = Letters("ab\u00e9", marks=("user", "assistant", END))
    about = Items("text", (12,), lexicon=lexicon)
    rows = [
        lexicon.document([("user", "ab"), ("assistant", "\u00e9a" + "b" * (i % 3))])
        for i in range(30)
    ]
    rows = torch.tensor([row + [lexicon.mark(END)] * (12 - len(row)) for row in rows])
    codec = Text(about)
    model = Talker(codec.space, {})
    given = unsaid(model, codec, rows)
    assert given is not None and given[:, :4].all() and not given[:, 4:].any()
    found = likelihood(model, codec, rows, {}, given=given)
    nats = sum(range(5, 13))  # of the eight places from the answer on
    assert found.value == pytest.approx(nats / math.log(2) / 3)  # an answer has three letters
    assert "of answers alone" in found.id
    assert per_byte(found, rows, about, given).value == pytest.approx(nats / math.log(2) / 4)
    whole = likelihood(model, codec, rows, {})
    assert whole.value == pytest.approx(nats / math.log(2) / 5)  # letters of question and answer
    train = rows.repeat(40, 1)
    both = [independent(train, rows, about, one) for one in (given, torch.zeros_like(given))]
    assert both[0] * 3 < both[1] * 5  # the question's nats are not among them
    assert independent(train, rows, about) == pytest.approx(both[1])
    assert whole.id.endswith("names of roles are no characters")
    with pytest.raises(Refused, match="hold no answer"):
        likelihood(model, codec, rows, {}, given=torch.ones_like(given))
