"""Guesses change how many passes a text takes, and no token of it."""

from __future__ import annotations

import random
from functools import partial

import pytest
import torch

from genloom.core import Rng, Tokens
from genloom.decoding.rows import Fresh
from genloom.decoding.speculation import Draft, Lookup, Speculation
from genloom.errors import BadInput
from genloom.models.autoregressive import Autoregressive
from genloom.nets.recurrent import Recurrent
from genloom.nets.transformer import Transformer

LABEL = {"label": Tokens((), 3)}
SPACES = [Tokens((36,), 5), Tokens((36,), 5, 4), Tokens((4, 9), 5)]
OPTIONS = [{}, {"top_k": 3, "temperature": 0.8}, {"frequency_penalty": 0.5, "min_p": 0.1}]


def made(space: Tokens, seed: int = 0, **net) -> Autoregressive:
    torch.manual_seed(seed)
    shape = {"width": 16, "layers": 2, "heads": 2, **net}
    model = Autoregressive(space, LABEL, net=partial(Transformer, **shape)).eval()
    for p in model.parameters():
        torch.nn.init.normal_(p, std=0.4)
    return model


class Known:
    """Guesses that are right as often as they are asked to be."""

    def __init__(self, x: list[int], share: float):
        self.x, self.share, self.dice = x, share, random.Random(1)

    def begin(self, row, held, cond, pick) -> None:
        pass

    def __call__(self, row, held, k):
        right = self.x[held - 1 : held - 1 + k]
        return [t if self.dice.random() < self.share else (t + 1) % 5 for t in right]


def drawn(model: Autoregressive, seed: int, given: torch.Tensor, options: dict) -> list[int]:
    rows = model.decoding(1, fill=4)
    rows.join(Rng([seed]), {"label": torch.tensor([seed % 3])}, given, **options)
    for _ in range(given.shape[1], model.length):
        rows.step()
    return rows.data(0, 1)[0].tolist()


@pytest.mark.parametrize("options", OPTIONS)
@pytest.mark.parametrize("space", SPACES, ids=str)
def test_the_text_is_what_it_is_without_guesses(space, options):
    model, draft = made(space), made(space, seed=1)
    given = torch.tensor([[1, 2, 0]])
    for seed in range(2):
        whole = drawn(model, seed, given, options)
        for guess in (Known(whole, 1.0), Known(whole, 0.6), Lookup(), Draft(draft.net)):
            ahead = Speculation(model.net, space, guess)
            cond = {"label": torch.tensor([seed % 3])}
            found = list(ahead.complete(Rng([seed]), cond, given, **options))
            end = [t for t in whole[3:] if t != space.end]
            assert [t for t in found if t != space.end] == end
            assert ahead.drawn == len(found) and ahead.passes <= len(found)


@pytest.mark.parametrize("kv_heads", [1, 2])
def test_the_logits_of_a_pass_are_those_of_steps(kv_heads):
    net = made(SPACES[2], kv_heads=kv_heads).net
    tokens, cond = torch.randint(0, 5, (24,)), {"label": torch.tensor([1])}
    with torch.inference_mode():
        one, many = net.cache(4), net.cache(1)
        for cache in (one, many):
            net.begin(cache, [Fresh(0, torch.tensor([[5, 1, 2]]), cond)])
        one.lengths[1:] = 0
        steps = torch.stack([net.follow(one, token.expand(4))[0] for token in tokens])
        net.follow_on(many, tokens[:8])
        many.lengths[0] -= 4  # the last ones are taken back
        passes = [net.follow_on(many, part) for part in tokens[4:].split(4)]
    assert torch.cat(passes).equal(steps[4:])


def test_right_guesses_save_passes_and_a_draft_of_the_same_weights_is_right():
    model, given = made(SPACES[0]), torch.zeros(1, 0, dtype=torch.long)
    whole = drawn(model, 0, given, {})
    for guess in (Known(whole, 1.0), Draft(model.net)):
        ahead = Speculation(model.net, SPACES[0], guess)
        found = list(ahead.complete(Rng([0]), {"label": torch.tensor([0])}, given))
        assert found == whole and ahead.passes <= 36 // 8 + 36 % 8 + 1


def test_a_lookup_says_what_followed_the_longest_run():
    row = torch.tensor([9, 1, 2, 3, 4, 1, 2, 5, 0, 1, 2, 3, 7, 7, 7])
    assert Lookup()(row, 12, 3) == [4, 1, 2]  # 1 2 3 stood at the start
    assert Lookup()(row, 7, 2) == [3, 4] and Lookup()(row, 5, 2) == ()


def test_nets_that_take_nothing_back_are_refused():
    window = made(Tokens((20,), 5), window=4)
    ahead = Speculation(window.net, window.space, Lookup())
    with pytest.raises(BadInput, match="window"):
        list(ahead.complete(Rng([0]), {"label": torch.tensor([0])}, torch.tensor([[1, 1, 1]])))
    with pytest.raises(BadInput, match="Recurrent reads one token at a time"):
        Speculation(Recurrent(SPACES[0], {}), SPACES[0], Lookup())
    for net in (window.net, Recurrent(SPACES[0], {})):
        with pytest.raises(BadInput, match="cannot take a guess back"):
            Draft(net)
