"""A model of answers is shown and judged by its answers to held-out prompts."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from genloom import artifact, sampling
from genloom.answering import answered
from genloom.core import Tokens
from genloom.data import open_dataset
from genloom.evaluation import evaluate
from genloom.models.autoregressive import Autoregressive
from genloom.models.talks import last_answer
from genloom.nets.transformer import Transformer
from genloom.recipe import resolve
from genloom.trainer import train

# letters 0 to 2; roles 3, 4 and, of the answer, 5; the end 6
ROLES = ((3,), (4,), (5,))
TALKS = torch.tensor(
    [
        [3, 0, 4, 1, 5, 2, 2, 4, 0, 5, 1, 6],
        [4, 2, 5, 0, 6, 6, 6, 6, 6, 6, 6, 6],
        [4, 1, 5, 0, 4, 2, 6, 6, 6, 6, 6, 6],  # the last word has the user
        [4, 1, 1, 1, 6, 6, 6, 6, 6, 6, 6, 6],  # no answer
    ]
)


def made(learned: str) -> Autoregressive:
    torch.manual_seed(0)
    space = Tokens((12,), 7, end=6, roles=ROLES)

    def net(space, conditions):
        return Transformer(space, conditions, width=16, layers=1, heads=2)

    model = Autoregressive(space, {}, net=net, learned=learned)  # type: ignore[arg-type]
    for p in model.parameters():
        torch.nn.init.normal_(p, std=0.3)
    return model


def test_the_last_answer_begins_after_the_last_of_its_openings():
    assert last_answer(TALKS, ROLES, 6).tolist() == [10, 3, 3, 0]
    assert made("answers").asked(TALKS).tolist() == [10, 3, 3, 0]
    assert made("all").asked(TALKS).tolist() == [0, 0, 0, 0]


def test_what_is_given_stays_and_the_rest_is_drawn_as_if_it_were_alone():
    model, known = made("answers"), torch.tensor([10, 3, 3, 0])
    found = answered(model, TALKS, known, {}, seed=5)
    for i, size in enumerate(known.tolist()):
        assert torch.equal(found[i, :size], TALKS[i, :size])
        one = slice(i, i + 1)
        alone = answered(model, TALKS[one], known[one], {}, seed=5 + i)
        assert torch.equal(found[one], alone)
        *_, last = model.complete(sampling.Rng([5 + i]), {}, TALKS[one, :size])
        assert torch.equal(found[one], last)
    assert not torch.equal(found, TALKS)
    assert torch.equal(answered(model, TALKS, known, {}, seed=5, batch=1), found)


@pytest.fixture(scope="module")
def run(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("talks")
    rows = [{"prompt": f"{i}?", "completion": f"{i}."} for i in range(1000, 3000)]
    (folder / "talks.jsonl").write_text("\n".join(map(json.dumps, rows)))
    net = {"use": "transformer", "width": 16, "layers": 1, "heads": 2}
    model = {"use": "autoregressive", "learned": "answers", "net": net}
    data = {"source": str(folder / "talks.jsonl"), "length": 16}
    recipe = {"data": data, "model": model, "train": {"steps": 12, "batch": 8}}
    return train(resolve(recipe), folder / "run", quiet=True)


def test_previews_and_verdicts_show_answers_to_held_out_prompts(run):
    asked = {f"{i}?" for i in range(1000, 3000)}
    previews = sorted((run / "samples").glob("*.txt"))[-1].read_text().split("\n---\n")
    dataset = open_dataset(run.parent / "talks.jsonl", length=16)
    shown = evaluate(artifact.load(run), n=160, dataset=dataset).pictures["samples"]
    for texts in (previews, shown):
        assert len(texts) >= 4
        for text in texts:
            assert any(prompt in text for prompt in asked), text
