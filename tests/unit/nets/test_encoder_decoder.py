"""The encoder-decoder: who sees whom, and that sampling is the same function as training."""

from __future__ import annotations

from functools import partial

import pytest
import torch
import torch.nn.functional as F
from tests.unit.nets.company import check_batches, check_company

from genloom.core import Real, Rng, Tokens
from genloom.decoding.rows import Fresh
from genloom.models.autoregressive import Autoregressive
from genloom.models.seq2seq import seq2seq
from genloom.nets.encoder_decoder import EncoderDecoder
from genloom.optim import build

USER, ASKED, END = 5, 6, 7
LABEL = {"label": Tokens((), 3)}
ALL = {**LABEL, "caption": Tokens((4,), 5), "pose": Real((5,))}
TALKS = Tokens((12,), 8, end=END, roles=((USER,), (ASKED,)))
LONG_MARK = Tokens((12,), 8, end=END, roles=((USER,), (ASKED, 0)))
TALK = [USER, 0, 1, ASKED, 2, 3, USER, 1, ASKED, 4, 0, END]


def awake(space=TALKS, conditions=ALL, width: int = 16, **options) -> EncoderDecoder:
    """A net whose weights are not small."""
    torch.manual_seed(0)
    net = EncoderDecoder(space, conditions, width=width, layers=2, encoder_layers=2, **options)
    for p in net.parameters():
        torch.nn.init.normal_(p, std=0.3)
    return net.eval()


def told(n: int) -> dict[str, torch.Tensor]:
    """Conditions of n rows, some of them hidden."""
    return {
        "label": torch.arange(n) % 4 - 1,
        "caption": torch.arange(4 * n).view(n, 4) % 6 - 1,
        "pose": torch.linspace(-1, 1, 5 * n).view(n, 5),
    }


def started(*rows: list[int]) -> torch.Tensor:
    """What a net reads: the start token, then rows but for their last; ends are starts too."""
    tokens = F.pad(torch.tensor(rows)[:, :-1], (1, 0), value=8)
    return tokens.masked_fill(tokens == END, 8)


@pytest.mark.parametrize("space", [TALKS, LONG_MARK])
def test_position_i_sees_tokens_up_to_i_and_no_others(space):
    net = awake(space)
    tokens = started(TALK)
    before = net(tokens, told(1))
    for i in range(12):
        other = tokens.clone()
        other[0, i] = (tokens[0, i] + 3) % 5  # another letter: also in the place of a mark
        changed = (net(other, told(1)) - before).abs().amax(-1)[0]
        assert torch.equal(changed[:i], torch.zeros(i))
        assert changed[i] > 1e-4


def test_an_answer_sees_the_prompt_through_the_encoder_alone():
    net, tokens = awake(), started(TALK)
    other = tokens.clone()
    other[0, 2] = 3
    changed = (net(other, {}) - net(tokens, {})).abs().amax(-1)[0]
    assert changed[4:].min() > 1e-4  # the first answer, and all that follows
    for layer in net.blocks:
        torch.nn.init.zeros_(layer.out.weight)
    changed = (net(other, {}) - net(tokens, {})).abs().amax(-1)[0]
    assert changed[2:4].min() > 1e-4 and torch.equal(changed[4:], torch.zeros(8))


def test_the_encoder_reads_a_prompt_in_both_directions():
    net, seen = awake(), []
    net.encoder.register_forward_hook(lambda _, args, out: seen.append(out))
    tokens = started(TALK)
    for last in (1, 3):
        tokens[0, 3] = last
        net(tokens, {})
    changed = (seen[1] - seen[3]).abs().amax(-1)[0]
    assert changed.min() > 1e-4  # also what stands before it
    tokens[0, 5] = 1  # of the first answer, which the first prompt does not see
    net(tokens, {})
    changed = (seen[5] - seen[3]).abs().amax(-1)[0]
    assert torch.equal(changed[:4], torch.zeros(4)) and changed[4:].min() > 1e-4


def test_documents_of_a_row_do_not_see_each_other():
    net = awake(conditions={})
    first, second = [USER, 1, ASKED, 2, END], [USER, 3, 0, ASKED, 4, 1, END]
    together = net(started([*first, *second]), {})[0]
    for document, place in ((first, 0), (second, 5)):
        alone = net(started(document), {})[0]
        torch.testing.assert_close(together[place : place + len(alone)], alone)


@pytest.mark.parametrize("space", [TALKS, LONG_MARK, Tokens((12,), 8), Tokens((3, 4), 8)])
def test_logits_one_by_one_equal_those_of_the_whole_sequence(space):
    """In rows that begin with 0 to 11 tokens, of talks with one answer, two or none."""
    net, cond = awake(space), told(4)
    rows = [TALK, [USER, 1, 1, 4, 2, ASKED, 0, 3, 3, 2, 1, 0]]
    tokens, cache = started(*rows, [1, 2, 3, 4] * 3, [USER, ASKED, 0] * 4), net.cache(4)
    full = net(tokens, cond)
    for known in (0, 1, 5, 6, 9, 11):
        net.begin(cache, [Fresh(0, tokens[:, :known], cond)])
        for i in range(known, 12):
            assert cache.lengths.tolist() == [i] * 4
            found = net.follow(cache, tokens[:, i])
            torch.testing.assert_close(found, full[:, i], atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("width", [16, 20])
def test_rows_at_different_places_do_not_see_each_other(width):
    space = Tokens((30,), 8, roles=((USER,), (ASKED,)))
    model = Autoregressive(space, ALL, net=partial(EncoderDecoder, width=width)).eval()
    model.net = awake(space, width=width)
    cond = {"label": torch.tensor([1]), "caption": torch.tensor([[3, 1, 4, -1]])}
    others = {"label": lambda _: torch.tensor([0]), "caption": lambda k: torch.full((1, 4), k)}
    check_company(model, [USER, 2, 0, 1, ASKED], cond, others, after=20)


def test_a_sample_depends_on_its_seed_alone():
    model = Autoregressive(TALKS, LABEL, net=EncoderDecoder).eval()
    model.net = awake(conditions=LABEL)
    check_batches(model)


def test_labels_and_captions_matter_and_hidden_equals_absent():
    net, tokens = awake(), started(TALK, TALK)
    for name, values in (("label", [0, 1]), ("caption", [[0, 1, 2, 3], [0, 1, 2, 4]])):
        a, b = net(tokens, {name: torch.tensor(values)})
        assert (a - b).abs().amax(-1).min() > 1e-4
    hidden = {"label": torch.full((2,), -1), "caption": torch.full((2, 4), -1)}
    torch.testing.assert_close(net(tokens, hidden), net(tokens, {}))


def test_training_answers_prompts_that_it_has_not_seen():
    """Three letters, backwards."""
    torch.manual_seed(0)
    space = Tokens((9,), 8, end=END, roles=((USER,), (ASKED,)))
    model = seq2seq(space, {}, width=32, layers=1, encoder_layers=1)
    (optimizer,) = build(model, lr=1e-2)
    words = torch.cartesian_prod(*[torch.arange(5)] * 3)[torch.randperm(125)]

    def talks(words: torch.Tensor) -> torch.Tensor:
        user, asked, end = (words.new_full((len(words), 1), k) for k in (USER, ASKED, END))
        return torch.cat([user, words, asked, words.flip(1), end], 1)

    for _ in range(150):
        chosen = words[:100][torch.randint(100, (32,))]
        model.loss(talks(chosen), {})["nats"].backward()
        optimizer.step()
        optimizer.zero_grad()
    wanted = talks(words[100:])
    *_, made = model.eval().complete(Rng(range(25)), {}, wanted[:, :5], temperature=0.0)
    assert (made == wanted).all(1).float().mean() > 0.8


def test_the_preset_learns_answers_alone():
    model = seq2seq(TALKS, {})
    model.net = awake(conditions={})
    before = model.loss(torch.tensor([TALK]), {})["nats"]
    model.roles = ()
    assert model.loss(torch.tensor([TALK]), {})["nats"] != before
    assert seq2seq(TALKS, {}, learned="all").roles == ()
