"""The autoregressive model: exact likelihood, sampling as iteration, prefixes, learning."""

from __future__ import annotations

import itertools
import math
from functools import partial

import pytest
import torch
import torch.nn.functional as F

from genloom import runs, sampling
from genloom.core import Likelihood, Real, Rng, Tokens
from genloom.decoding.rows import narrowed
from genloom.errors import BadInput
from genloom.models.autoregressive import Autoregressive, answers
from genloom.nets.recurrent import Recurrent
from genloom.nets.transformer import Transformer
from genloom.optim import build

LABEL = {"label": Tokens((), 2)}
SMALL = partial(Transformer, width=16, layers=2, heads=1)


def made(space=Tokens((5,), 3), conditions=LABEL, **options) -> Autoregressive:  # noqa: B008
    torch.manual_seed(0)
    model = Autoregressive(space, conditions, net=SMALL, **options)
    for p in model.parameters():
        torch.nn.init.normal_(p, std=0.4)
    return model.eval()


def every(length: int, vocab: int) -> torch.Tensor:
    return torch.tensor(list(itertools.product(range(vocab), repeat=length)))


@pytest.mark.parametrize("label", [0, 1, -1])
def test_probabilities_of_all_sequences_sum_to_one(label):
    model = made()
    x = every(5, 3)
    total = model.log_prob(x, {"label": torch.full((len(x),), label)}).exp().sum().item()
    assert abs(total - 1) < 1e-5
    assert isinstance(model, Likelihood)


def test_loss_is_the_mean_of_the_token_log_probabilities():
    model = made(conditions={})
    x = torch.randint(0, 3, (6, 5))
    (loss,) = model.loss(x, {}).values()
    torch.testing.assert_close(loss, -model.token_log_prob(x, {}).mean())
    torch.testing.assert_close(model.log_prob(x, {}).mean().float(), -5 * loss)


def test_the_share_of_hidden_conditions():
    x, cond = torch.randint(0, 3, (6, 5)), {"label": torch.tensor([0, 1] * 3)}
    seen, hidden = made(drop=0.0), made(drop=1.0)
    torch.testing.assert_close(seen.loss(x, cond)["nats"], -seen.token_log_prob(x, cond).mean())
    torch.testing.assert_close(hidden.loss(x, cond)["nats"], -hidden.token_log_prob(x, {}).mean())
    assert (seen.loss(x, cond)["nats"] - hidden.loss(x, cond)["nats"]).abs() > 1e-4


def test_an_untrained_model_is_uniform():
    model = Autoregressive(Tokens((3, 4), 7), {})
    x = torch.randint(0, 7, (2, 3, 4))
    assert model.loss(x, {})["nats"].item() == pytest.approx(math.log(7), abs=0.02)


def test_samples_have_the_frequencies_that_the_likelihood_says():
    model = made(Tokens((3,), 3), {})
    x = every(3, 3)
    p = model.log_prob(x, {}).exp()
    n = 3000
    drawn = sampling.sample(model, n, batch=1000)
    counts = (drawn * torch.tensor([9, 3, 1])).sum(1).bincount(minlength=27)
    chi2 = ((counts - n * p).square() / (n * p)).sum()
    assert chi2 < 54  # 26 degrees of freedom: 0.1 %


def test_sampling_is_iteration_and_earlier_tokens_stay():
    model = made()
    steps = list(sampling.stream(model, range(4), {"label": torch.tensor([0, 1, 0, 1])}))
    assert len(steps) == 5
    for i, x in enumerate(steps):
        assert x.shape == (4, 5)
        assert torch.equal(x[:, : i + 1], steps[-1][:, : i + 1])
        assert (x[:, i + 1 :] == 0).all()


def test_a_sample_depends_on_its_seed_and_condition_alone():
    model = made(Tokens((4, 5), 3))
    cond = {"label": torch.arange(12) % 2}
    together = sampling.sample(model, 12, cond)
    assert together.shape == (12, 4, 5)
    assert torch.equal(together, sampling.sample(model, 12, cond, batch=5))


@pytest.mark.parametrize("space", [Tokens((40,), 3), Tokens((5, 8), 3)])
@pytest.mark.parametrize("known", [0, 1, 6, 39])
def test_samples_are_those_of_the_whole_net_without_a_cache(space, known):
    model, cond = made(space), {"label": torch.arange(8) % 2}
    given = torch.randint(0, 3, (8, known))
    (*_, cached) = model.complete(Rng(range(8)), cond, given, temperature=1.3, top_k=2)
    rng, tokens = Rng(range(8)), F.pad(given, (1, 0), value=3)
    while tokens.shape[1] <= 40:
        with torch.no_grad():
            logits = narrowed(model.net(tokens, cond)[:, -1], temperature=1.3, top_k=2)
        tokens = torch.cat([tokens, rng.categorical(logits)[:, None]], 1)
    assert torch.equal(cached.flatten(1), tokens[:, 1:])


def test_a_prefix_is_kept_and_continued_by_the_model():
    model = made(conditions={})
    given = torch.tensor([[2, 0], [1, 1]])
    steps = list(model.complete(Rng(range(2)), {}, given, temperature=0.0))
    assert len(steps) == 3
    assert torch.equal(steps[-1][:, :2], given)
    for row in steps[-1]:
        for i in range(2, 5):  # greedy: each token is the most likely one after those before it
            others = row.repeat(3, 1)
            others[:, i] = torch.arange(3)
            assert model.token_log_prob(others, {})[:, i].argmax() == row[i]


@pytest.mark.parametrize(
    ("given", "message"), [([[0] * 5], "at most 4"), ([[0, 3]], r"lie in \[0, 2\]")]
)
def test_a_prefix_that_does_not_fit_is_refused(given, message):
    with pytest.raises(BadInput, match=message):
        next(made(conditions={}).complete(Rng([0]), {}, torch.tensor(given)))


def test_real_data_are_refused_with_a_hint():
    with pytest.raises(BadInput, match="models Tokens"):
        Autoregressive(Real((2,)), {})


def test_options_are_checked_by_the_signature():
    with pytest.raises(BadInput, match="did you mean 'top_k'"):
        next(sampling.stream(made(), [0], topk=3))


@pytest.mark.slow
def test_it_learns_a_rule_by_heart_and_obeys_labels():
    # label 0 counts up and label 1 counts down, modulo 5, from a random first token
    torch.manual_seed(0)
    model = Autoregressive(Tokens((8,), 5), LABEL, net=partial(SMALL, width=32))
    optimizers = build(model, name="muon", lr=3e-3)
    for _ in range(150):
        label = torch.randint(0, 2, (32,))
        x = (torch.randint(0, 5, (32, 1)) + (1 - 2 * label)[:, None] * torch.arange(8)) % 5
        model.loss(x, {"label": label})["nats"].backward()
        for optimizer in optimizers:
            optimizer.step()
            optimizer.zero_grad()
    label = torch.arange(20) % 2
    x = sampling.sample(model, 20, {"label": label}, min_p=0.1)
    steps = x.diff(dim=1) % 5
    assert (steps == torch.where(label == 0, 1, 4)[:, None]).float().mean() > 0.95
    assert F.one_hot(x[:, 0], 5).sum(0).min() > 0


def documents(length: int = 4, letters: int = 2) -> torch.Tensor:
    """All rows that hold one document: its end fills it up, or it has none. Ends are `letters`."""
    rows = every(length, letters + 1)
    ends = (rows == letters).int().cummax(1).values
    return rows[((rows == letters) == ends.bool()).all(1)]


NETS = {"transformer": SMALL, "lstm": partial(Recurrent, width=8, dropout=0.0)}


def closed(length: int = 4, net: str = "transformer") -> Autoregressive:
    torch.manual_seed(0)
    model = Autoregressive(Tokens((length,), 3, end=2), {}, net=NETS[net])
    for p in model.parameters():
        torch.nn.init.normal_(p, std=0.4)
    return model.eval()


@pytest.mark.parametrize("net", NETS)
def test_probabilities_of_all_documents_sum_to_one(net):
    x = documents()
    assert len(x) == 2**5 - 1
    assert closed(net=net).log_prob(x, {}).exp().sum().item() == pytest.approx(1, abs=1e-5)


def test_ends_that_fill_up_count_for_nothing():
    model, x = closed(), torch.tensor([[0, 2, 2, 2], [1, 0, 1, 0]])
    said = model.token_log_prob(x, {})
    assert said[0, 2:].tolist() == [0, 0] and bool((said[1] < 0).all()) and said[0, 1] < 0
    torch.testing.assert_close(model.loss(x, {})["nats"], -said.sum() / 6)


@pytest.mark.parametrize("net", NETS)
def test_documents_of_a_row_are_as_likely_as_alone(net):
    model = closed(6, net)
    packed = torch.tensor([[0, 1, 2, 1, 1, 2]])
    alone = torch.tensor([[0, 1, 2, 2, 2, 2], [1, 1, 2, 2, 2, 2]])
    said = model.log_prob(packed, {})[0].item()
    assert said == pytest.approx(model.log_prob(alone, {}).sum().item(), abs=1e-5)
    other = torch.tensor([[1, 0, 2, 1, 1, 2]])
    torch.testing.assert_close(
        model.token_log_prob(packed, {})[0, 3:], model.token_log_prob(other, {})[0, 3:]
    )


def test_a_sample_is_one_document_and_drawing_stops_when_all_have_ended():
    model = closed()
    x = documents()
    p = model.log_prob(x, {}).exp()
    n = 3000
    drawn = sampling.sample(model, n, batch=1000)
    weights = torch.tensor([27, 9, 3, 1])
    found = (drawn * weights).sum(1).bincount(minlength=81)[(x * weights).sum(1)]
    assert int(found.sum()) == n  # nothing but documents
    assert ((found - n * p).square() / (n * p)).sum() < 60  # 30 degrees of freedom: 0.1 %
    long = closed(64)
    drawn = list(long.sample_steps(Rng([1]), {}))
    assert len(drawn) == 1 + int((drawn[-1] != 2).sum()) < 64


@pytest.mark.parametrize("net", NETS)
def test_a_batch_goes_on_until_its_longest_document(net):
    model = closed(16, net)
    *_, last = model.sample_steps(Rng(range(8)), {})
    alone = torch.cat([sampling.sample(model, 1, seed=i) for i in range(8)])
    assert torch.equal(last, alone)


def test_of_a_talk_only_the_answers_are_learned():
    # letters 0 to 2; roles 3, 4 and, of the answer, 5; the end 6
    rows = torch.tensor(
        [[3, 0, 4, 1, 5, 2, 2, 4, 0, 5, 1, 6], [0, 1, 6, 4, 2, 5, 0, 6, 1, 6, 6, 6]]
    )
    roles = (3,), (4,), (5,)
    own = answers(rows, roles, 6).int().tolist()
    assert own[0] == [0, 0, 0, 0, 0, 1, 1, 1, 0, 0, 1, 1]
    assert own[1][:9] == [1, 1, 1, 0, 0, 0, 1, 1, 1]
    space = Tokens((12,), 7, end=6, roles=roles)
    model = made(space, {}, learned="answers")
    said = model.token_log_prob(rows, {})
    kept = answers(rows, roles, 6) & (said != 0)
    torch.testing.assert_close(model.loss(rows, {})["nats"], -said[kept].mean())
    assert torch.equal(model.own(rows), answers(rows, roles, 6))
    answer = said.double().masked_fill(~kept, 0).sum(1)
    torch.testing.assert_close(model.log_prob(rows, {}), answer)
    every = made(space, {}, learned="all")
    assert every.own(rows).all()
    whole = every.token_log_prob(rows, {}).double().sum(1)
    torch.testing.assert_close(every.log_prob(rows, {}), whole)
    other = rows.clone()
    other[0, 1] = 2  # of the question
    assert model.loss(other, {})["nats"] != model.loss(rows, {})["nats"]  # it is read all the same
    assert model.loss(torch.tensor([[3, *[0] * 11]]), {})["nats"] == 0  # no answer, and no NaN


def test_openings_and_closings_may_be_runs_of_tokens():
    # letters 0 to 3; a user's part opens with 4 5, an answer with 4 6, and 7 closes; the end 8
    rows = torch.tensor([[4, 5, 0, 7, 4, 6, 1, 4, 7, 4, 5, 2, 7, 4, 6, 3, 7, 8, 5, 6]])
    roles = ((4, 5), (4, 6))
    own = answers(rows, roles, 8, closed=True).int().tolist()[0]
    assert own == [0, 0, 0, 0, 0, 0, 1, 1, 1, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 1]
    open_ended = answers(rows, roles, 8).int().tolist()[0]  # the next opening closes
    assert open_ended == [0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 1, 0, 0, 0, 0, 1, 1, 1, 1, 1]


def test_a_base_that_does_not_fit_is_told_apart(tmp_path):
    """Other letters, as many as these; another length of a net with a row for each place."""
    for name, letters in (("one", "abc\n"), ("two", "xyz\n")):
        (tmp_path / f"{name}.txt").write_text(letters * 200)
    net = {"use": "gpt2", "width": 8, "layers": 1, "heads": 1}

    def trained(name: str, length: int, out: str, **model) -> None:
        recipe = {
            "data": {"source": str(tmp_path / f"{name}.txt"), "length": length},
            "model": {"use": "autoregressive", "net": net, **model},
            "train": {"batch": 2, "threads": 1},
        }
        runs.train(recipe, out=tmp_path / out, steps=1, quiet=True)

    trained("one", 8, "base")
    base = str(tmp_path / "base")
    trained("one", 8, "tuned", base=base)
    with pytest.raises(BadInput, match=r"reads other tokens; set data\.tokenizer to that of"):
        trained("two", 8, "other", base=base)
    with pytest.raises(BadInput, match=r"places.* \(8, 8\), not \(12, 8\)\. Set data\.length = 8"):
        trained("one", 12, "longer", base=base)


def test_alpha_without_a_rank_is_refused():
    with pytest.raises(BadInput, match=r"set model\.rank"):
        made(Tokens((4,), 3), {}, alpha=4.0)
