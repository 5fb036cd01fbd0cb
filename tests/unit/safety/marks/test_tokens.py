"""The token watermark on toy models: its test, its null distribution and its price."""

from __future__ import annotations

import math
from itertools import pairwise

import numpy as np
import pytest
import torch
from scipy import stats

from genloom.core import Rng
from genloom.errors import BadInput
from genloom.safety.marks import tokens
from genloom.safety.marks.tokens import Green
from tests.unit.safety.marks.conftest import SECRET

VOCAB = 64
MARK = Green(SECRET)


def bigram(temperature: float = 1.0) -> torch.Tensor:
    """Logits of a toy language, (V, V), of about 3.7 nats a token at temperature 1."""
    logits = torch.randn(VOCAB, VOCAB, generator=torch.Generator().manual_seed(0))
    return logits.double() / temperature


def write(n: int, length: int, mark: Green | None, seed: int = 0) -> tuple[torch.Tensor, float]:
    """Texts (n, length) and the mean nats of their tokens under the unmarked model."""
    language, rng = bigram(), Rng(range(seed, seed + n))
    text, nats = torch.zeros(n, 1, dtype=torch.long), 0.0
    for _ in range(length):
        logits = language[text[:, -1]]
        drawn = rng.categorical(tokens.biased(logits, text, mark) if mark else logits)
        nats -= float(logits.log_softmax(-1).gather(1, drawn[:, None]).mean()) / length
        text = torch.cat([text, drawn[:, None]], 1)
    return text, nats


def test_the_list_has_its_share_and_depends_on_key_and_context():
    lists = np.stack([tokens.green(MARK, (i,), VOCAB) for i in range(200)])
    assert (lists.sum(1) == 16).all()
    assert abs(lists.mean(0) - 0.25).max() < 0.15  # no token is favoured by all contexts
    other = np.stack([tokens.green(Green(SECRET[::-1]), (i,), VOCAB) for i in range(200)])
    assert abs((lists & other).mean() - 1 / 16) < 0.01


def test_bias_is_delta_on_green_and_nothing_else():
    logits = torch.randn(3, VOCAB)
    logits[0, 5] = -torch.inf
    previous = torch.tensor([[9, 1], [9, 2], [9, 1]])
    found = tokens.biased(logits, previous, MARK)
    green = torch.from_numpy(np.stack([tokens.green(MARK, (i,), VOCAB) for i in (1, 2, 1)]))
    assert torch.equal(found, torch.where(green, logits + 2, logits))
    assert found.dtype == logits.dtype and found[0, 5] == -torch.inf
    assert torch.equal(tokens.biased(logits, previous[:, :0], MARK), logits)


def test_marked_text_is_found_and_its_owner_alone_finds_it():
    text, _ = write(20, 200, MARK)
    scores = [tokens.detect(row.tolist(), MARK, VOCAB) for row in text]
    assert all(s.found for s in scores) and np.mean([s.score for s in scores]) > 8
    wrong = [tokens.detect(row.tolist(), Green(b"another secret..."), VOCAB) for row in text]
    assert not any(s.found for s in wrong)


def test_unmarked_text_keeps_the_stated_rate():
    """200 texts of 150 tokens, each under 10 keys: p-values are no smaller than they should be."""
    text, _ = write(200, 150, None, seed=1000)
    p, z = [], []
    for k in range(10):
        mark = Green(b"key number %6d" % k)
        scores = [tokens.detect(row.tolist(), mark, VOCAB) for row in text]
        p += [s.p_value for s in scores]
        z += [s.score for s in scores]
    for level in (0.1, 0.01, 0.001):
        assert np.mean(np.array(p) <= level) < level + 4 * math.sqrt(level / len(p))
    assert abs(np.mean(z)) < 0.15 and abs(np.std(z) - 1) < 0.15


def test_repeats_count_once():
    loop = [1, 2, 3, 4] * 500
    for k in range(50):
        score = tokens.detect(loop, Green(b"key number %6d" % k), VOCAB)
        assert score.n == 4 and not score.found


def test_a_larger_delta_costs_more_nats():
    costs = []
    _, base = write(60, 60, None)
    for delta in (1.0, 2.0, 5.0):
        _, nats = write(60, 60, Green(SECRET, delta=delta))
        costs.append(nats - base)
    assert 0 < costs[0] < costs[1] < costs[2] < 1.5


def test_wider_contexts_are_found_and_do_not_mix():
    wide = Green(SECRET, context=3)
    text, _ = write(4, 200, wide)
    for row in text:
        assert tokens.detect(row.tolist(), wide, VOCAB).found
        assert not tokens.detect(row.tolist(), MARK, VOCAB).found


@pytest.mark.parametrize(("hits", "n", "p"), [(3, 10, 0.25), (60, 100, 0.25), (400, 500, 0.5)])
def test_the_tail_is_that_of_the_binomial(hits, n, p):
    assert tokens.binomial_tail(hits, n, p) == pytest.approx(stats.binom.sf(hits - 1, n, p))
    assert tokens.binomial_tail(0, n, p) == 1.0 and tokens.binomial_tail(n + 1, n, p) == 0.0


def test_z_is_equation_3():
    text = write(1, 80, MARK)[0][0].tolist()
    pairs = set(pairwise(text))
    hits = sum(tokens.green(MARK, (a,), VOCAB)[b] for a, b in pairs)
    expected = (hits - len(pairs) / 4) / math.sqrt(len(pairs) * 3 / 16)
    assert tokens.detect(text, MARK, VOCAB).score == pytest.approx(expected)


def test_bad_parameters_and_texts_are_refused():
    for bad in ({"gamma": 0.0}, {"gamma": 1.0}, {"delta": -1.0}, {"context": 0}, {"context": 9}):
        with pytest.raises(BadInput):
            Green(SECRET, **bad)
    with pytest.raises(BadInput):
        Green(b"short")
    with pytest.raises(BadInput, match="must lie in"):
        tokens.detect([1, VOCAB], MARK, VOCAB)
    with pytest.raises(BadInput, match="no choice"):
        MARK.count(1)
    assert tokens.detect([], MARK, VOCAB).p_value == 1.0
