"""Verdicts: of an honest model, of one that copies, of noise; refusals; and verdicts compared."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import pytest
import torch

from genloom import sampling
from genloom.codecs.image import Image
from genloom.codecs.points import Points
from genloom.codecs.text import Text
from genloom.core import Generative, Interval, Real, Tokens
from genloom.data import Dataset, centres, open_dataset, open_test
from genloom.errors import BadInput, Diverged, Refused
from genloom.evaluation import compare_verdicts, evaluate
from tests.unit.test_artifact import folder as folder  # a fixture: an artifact without a run

N = 200


class Drawn(Generative):
    """Hands out the data of a list, as often as asked: rows by the sample's own random number."""

    spaces = (Real, Tokens)

    def __init__(self, space, conditions, rows, labels=None):
        super().__init__(space, conditions)
        self.register_buffer("rows", rows)
        self.labels = labels
        self.weight = torch.nn.Parameter(torch.zeros(1))

    def sample_steps(self, rng, cond, *, shrink: Annotated[float, Interval(ge=0, le=1)] = 1.0):
        u = rng.uniform(1)[:, 0]
        picked = []
        for i, chance in enumerate(u):
            rows = torch.arange(len(self.rows))
            if cond and int(cond["label"][i]) >= 0:
                rows = (self.labels == cond["label"][i]).nonzero()[:, 0]
            picked.append(rows[int(chance * len(rows))])
        yield self.rows[torch.stack(picked)] * shrink


class Normal(Generative):
    """One normal distribution over points."""

    likelihood = "exact"

    def __init__(self, space, conditions):
        super().__init__(space, conditions)
        self.weight = torch.nn.Parameter(torch.zeros(1))

    def sample_steps(self, rng, cond):
        yield rng.normal(*self.space.shape)

    def log_prob(self, x, cond):
        return -(x.square().sum(1) + x.shape[1] * math.log(2 * math.pi)) / 2


@dataclass
class Stand:
    """What `evaluate` needs of an artifact."""

    model: Generative
    codec: Any
    recipe: dict
    path: Path = Path("runs/x/model")
    hash: str = "a" * 64

    @property
    def items(self):
        return self.codec.items

    @property
    def card(self):
        return {"data": {}}

    def sample(self, n, *, seed=0, label=None, batch=64, **options):
        cond = {} if label is None else {"label": torch.tensor(label)}
        return self.codec.decode(
            sampling.sample(self.model, n, cond, seed=seed, batch=batch, **options)
        )


@pytest.fixture(scope="module")
def points():
    """25 Gaussians, and fresh points of the same distribution."""
    data = open_dataset("gaussians")
    fresh = data.valid.items[1000:]
    return data, fresh


def stand(data: Dataset, rows, name="drawn", train_seed=0, codec=Points, conditions=None):
    built = codec(data.items)
    labels = conditions and conditions["labels"]
    model = Drawn(
        built.space, data.items.conditions if labels is not None else {}, built.encode(rows), labels
    )
    recipe = {
        "data": {"source": data.name}, "model": {"use": name}, "train": {"seed": train_seed}
    }  # fmt: skip
    return Stand(model, built, recipe)


def values(verdict):
    return {e["name"]: e for e in verdict.as_dict()["estimates"]}


def test_an_honest_model_passes_and_the_verdict_is_plain_json(points):
    data, fresh = points
    verdict = evaluate(stand(data, fresh), n=N, dataset=data)
    told = json.loads(json.dumps(verdict.as_dict(), allow_nan=False))
    assert told["passed"] and told["failures"] == [], told["failures"]
    assert told["copies"]["verdict"] == "pass" and told["copies"]["planted"]["detected"]
    assert told["split"] == "test" and told["n"] == N and told["conditions"]["n"] == N
    assert (
        told["extractor"]["trusted"]
        and told["extractor"]["hash"] in told["conditions"]["extractor"]
    )
    found = values(verdict)
    assert {"frechet", "kid", "coverage", "density", "two_sample", "diversity", "copies"} <= {
        *found
    }
    assert "FID" not in found and "IS" not in found
    for e in found.values():
        assert e["low"] <= e["value"] <= e["high"] and e["n"] == N and e["id"], e
        assert e["floor"] is not None, e
        assert e["trivial"] is not None or e["name"] == "copies"
    assert found["kid"]["low"] <= 0 < found["kid"]["trivial"]
    assert found["coverage"]["value"] > 0.85 > found["coverage"]["trivial"]
    assert len(told["pictures"]["samples"]) == N and len(told["copies"]["pairs"]) == 16


def test_a_model_that_copies_one_in_twenty_fails(points):
    data, fresh = points
    rows = torch.cat((fresh[:950], data.train.items[:50]))
    verdict = evaluate(stand(data, rows), n=400, dataset=data)
    assert not verdict.passed and verdict.copies["verdict"] == "fail"
    assert (
        0.02 < verdict.copies["share"] < 0.09 and "copies of training items" in verdict.failures[0]
    )
    first = verdict.copies["pairs"][0]
    assert first["distance"] < 1e-6 and first["generated_item"] == first["train_item"]
    assert torch.allclose(
        torch.tensor(first["train_item"]), data.train.items[first["train"]], atol=1e-4
    )


def test_missing_modes_are_told(points):
    data, fresh = points
    near = torch.cdist(fresh, centres().float()).argmin(1)
    dropped = values(evaluate(stand(data, fresh[near >= 8]), n=600, dataset=data))
    assert dropped["coverage"]["high"] < dropped["coverage"]["floor"]
    assert dropped["kid"]["low"] > 0 and dropped["two_sample"]["low"] > 0.5


def test_options_reach_the_samples_and_unknown_ones_are_refused(points):
    data, fresh = points
    shrunk = evaluate(stand(data, fresh), n=N, dataset=data, shrink=0.5)
    assert shrunk.facts["sample_options"] == {"shrink": 0.5}
    assert values(shrunk)["diversity"]["high"] < 1
    with pytest.raises(BadInput, match="did you mean 'shrink'"):
        evaluate(stand(data, fresh), n=N, dataset=data, shrnk=0.5)


def test_the_same_seed_gives_the_same_numbers_and_inputs_are_left_alone(points):
    data, fresh = points
    before = open_test(data).items.clone()
    state = torch.random.get_rng_state()
    one, two, other = (
        evaluate(stand(data, fresh), n=N, dataset=data, seed=s, batch=b)
        for s, b in ((1, 64), (1, 50), (2, 64))
    )
    assert [e.value for e in one.estimates] == [e.value for e in two.estimates]
    assert [e.value for e in one.estimates] != [e.value for e in other.estimates]
    assert not set(range(*one.facts["sample_seeds"])) & set(range(*other.facts["sample_seeds"]))
    assert torch.equal(open_test(data).items, before)
    assert torch.equal(torch.random.get_rng_state(), state)


def test_too_few_are_refused_with_the_number_needed(points, tmp_path):
    data, fresh = points
    for n, said in ((159, "at least 160 are needed"), (2001, "the test split has 2000")):
        with pytest.raises(Refused, match=said):
            evaluate(stand(data, fresh), n=n, dataset=data)
    forced = evaluate(stand(data, fresh), n=60, dataset=data, force=True)
    assert not forced.passed and "60" in forced.refused["copies"]
    assert "kid" in values(forced) and "frechet" in forced.refused
    json.dumps(forced.as_dict(), allow_nan=False)


def test_a_model_is_judged_by_its_path_too(folder):
    for path in (folder, str(folder)):
        with pytest.raises(Refused, match="n = 9999 needs 9999 held-out items"):
            evaluate(path, n=9999)
    with pytest.raises(BadInput, match="there is no model 'nowhere'"):
        evaluate("nowhere")


def test_other_data_than_it_was_trained_on_are_refused(points):
    data, fresh = points
    with pytest.raises(BadInput, match="the data set holds"):
        evaluate(stand(data, fresh), n=N, dataset=open_dataset("digits"))

    class Changed(Stand):
        @property
        def card(self):
            return {"data": {"fingerprint": "0" * 64}}

    artifact = stand(data, fresh)
    with pytest.raises(BadInput, match="the data have changed"):
        evaluate(Changed(artifact.model, artifact.codec, artifact.recipe), n=N, dataset=data)


def test_samples_that_are_not_finite_are_refused_by_name(points):
    data, fresh = points
    artifact = stand(data, fresh.clone())
    artifact.model.rows.fill_(math.nan)
    with pytest.raises((Refused, Diverged), match="not finite"):
        evaluate(artifact, n=N, dataset=data)


def test_a_likelihood_is_beside_its_trivial_model(points):
    data, _ = points
    codec = Points(data.items)
    artifact = Stand(Normal(codec.space, {}), codec, {"data": {}, "model": {"use": "normal"}})
    found = values(evaluate(artifact, n=N, dataset=data))["nll"]
    assert found["tag"] == "exact" and found["unit"] == "nats"
    assert found["trivial"] == pytest.approx(found["value"], abs=0.01)  # the same model, fitted


class Stepped(Drawn):
    """Nearer to the data with every step; its net only counts."""

    def __init__(self, space, conditions, rows):
        super().__init__(space, conditions, rows)
        self.net = torch.nn.Identity()

    def sample_steps(self, rng, cond, *, steps: Annotated[int, Interval(ge=1, le=9)] = 9):
        (x,) = super().sample_steps(rng, {})
        for i in range(steps):
            yield self.net(x + 2.0 / (i + 1) ** 2)


def test_quality_against_steps_is_in_the_verdict_where_it_is_asked_for(points):
    data, fresh = points
    codec, said = Points(data.items), []
    model = Stepped(codec.space, {}, codec.encode(fresh))
    artifact = Stand(model, codec, {"data": {}, "model": {"use": "stepped"}})
    plain = evaluate(artifact, n=N, dataset=data)
    assert "steps_curve" not in plain.as_dict() and plain.steps_curve == {}
    verdict = evaluate(artifact, n=N, dataset=data, steps_curve=[9, 1, 2], progress=said.append)
    curve = json.loads(json.dumps(verdict.as_dict(), allow_nan=False))["steps_curve"]
    assert [(p["steps"], p["evaluations"]) for p in curve["points"]] == [(1, 1), (2, 2), (9, 9)]
    kid = values(verdict)["kid"]
    assert curve["name"] == "kid" and curve["floor"] == kid["floor"] and curve["n"] == N
    last = curve["points"][-1]
    assert last["value"] == pytest.approx(kid["value"])  # the same seeds, the default steps
    assert curve["points"][0]["low"] > last["high"]
    assert f"drawing {N} samples at steps = 2" in said
    assert [e.value for e in verdict.estimates] == [e.value for e in plain.estimates]


def test_a_curve_of_fewer_samples_has_the_conditions_of_the_first(monkeypatch):
    monkeypatch.setattr("genloom.metrics.steps.MOST", 70)
    data, drawn = open_dataset("rings"), []

    class Asked(Stand):
        def sample(self, n, *, label=None, **options):
            drawn.append((n, tuple(label), options["seed"]))
            return super().sample(n, **options)

    codec = Points(data.items)
    model = Stepped(codec.space, {}, codec.encode(data.valid.items))
    model.conditions = data.items.conditions
    artifact = Asked(model, codec, {"data": {}, "model": {"use": "stepped"}})
    verdict = evaluate(artifact, n=N, dataset=data, seed=2, steps_curve=[1, 3])
    (n, labels, seed), *others = drawn
    assert (n, len(labels), len(set(labels)), seed) == (N, N, len(data.items.classes), 2**21)
    assert others == [(70, labels[:70], seed)] * 2 and verdict.steps_curve["n"] == 70


def test_quality_against_steps_is_refused_by_name(points):
    data, fresh = points
    with pytest.raises(BadInput, match="Drawn takes no 'steps'"):
        evaluate(stand(data, fresh), n=N, dataset=data, steps_curve=[1])
    codec = Points(data.items)
    artifact = Stand(Stepped(codec.space, {}, codec.encode(fresh)), codec, {"data": {}})
    with pytest.raises(BadInput, match="steps = 10 is out of range"):
        evaluate(artifact, n=N, dataset=data, steps_curve=[1, 10])
    few = evaluate(artifact, n=40, dataset=data, force=True, steps_curve=[1])
    assert few.steps_curve == {} and "at least 50" in few.refused["steps_curve"]


class Coded(Drawn):
    """Its code is brightness, and the brightness of each half, of the picture."""

    def encode(self, x, cond):
        halves = x.unflatten(2, (2, -1)).mean((1, 3, 4))
        return torch.cat([x.mean((1, 2, 3))[:, None], halves], 1)

    def decode(self, z, cond):
        raise NotImplementedError


def test_a_code_is_scored_where_the_causes_of_the_data_are_known():
    data = open_dataset("factors", size=8, test=0.05)
    codec = Image(data.items)

    def judged(kind, about=data):
        model = kind(codec.space, {}, codec.encode(data.valid.items))
        artifact = Stand(model, codec, {"data": {}, "model": {"use": "coded"}})
        return values(evaluate(artifact, n=N, dataset=about))

    scores = {"mig", "sap", "dci_disentanglement", "dci_completeness", "dci_informativeness"}
    found = judged(Coded)
    assert scores <= {*found} and all(found[name]["n"] == len(open_test(data)) for name in scores)
    assert found["dci_informativeness"]["low"] > found["dci_informativeness"]["trivial"]
    assert not scores & {*judged(Drawn)}


@pytest.fixture(scope="module")
def words(tmp_path_factory):
    """A text of words drawn at random: enough for 200 items a side."""
    generator = torch.Generator().manual_seed(0)
    known = [
        "the",
        "a",
        "cat",
        "dog",
        "bird",
        "sees",
        "hears",
        "likes",
        "big",
        "small",
        "red",
        "blue",
    ]
    picked = torch.randint(len(known), (24_000,), generator=generator).tolist()
    path = tmp_path_factory.mktemp("text") / "words.txt"
    path.write_text(" ".join(known[i] for i in picked))
    return open_dataset(str(path), length=32, valid=0.2, test=0.2)


def test_text_is_judged_by_its_runs_and_verbatim_copies(words):
    honest = evaluate(stand(words, words.valid.items, codec=Text), n=N, dataset=words)
    assert honest.passed, honest.failures
    assert {"distinct_4", "repetition", "kid"} <= {*values(honest)}
    rows = torch.cat((words.valid.items[:180], words.train.items[:20]))
    copied = evaluate(stand(words, rows, codec=Text), n=N, dataset=words)
    assert copied.copies["verdict"] == "fail" and not copied.passed
    assert copied.copies["pairs"][0]["generated_item"] == copied.copies["pairs"][0]["train_item"]


@pytest.mark.slow
def test_digits_honest_copied_and_collapsed():
    """Images with labels, end to end: extractor, judge, ladder, copies in pixels and features."""
    data = open_dataset("digits", valid=0.2, test=0.25)
    labels = {"labels": data.valid.cond["label"]}
    honest = evaluate(stand(data, data.valid.items, codec=Image, conditions=labels), dataset=data)
    found = values(honest)
    assert honest.facts["extractor"]["trusted"], honest.facts["extractor"]["ladder"]
    assert found["label_accuracy"]["value"] > 0.95 and honest.facts["judge"]["accuracy"] > 0.95
    assert found["label_accuracy"]["trivial"] < found["label_accuracy"]["low"]
    assert {t["space"] for t in honest.copies["tests"]} == {"pixels", "encoder"}
    assert honest.as_dict()["pictures"]["samples"].startswith("data:image/png;base64,")

    kept = data.valid.cond["label"] != 3
    dropped = stand(data, data.valid.items[kept], codec=Image)
    told = values(evaluate(dropped, dataset=data))["class_kl"]
    assert told["low"] > told["floor"]

    memory = stand(
        data, data.train.items, codec=Image, conditions={"labels": data.train.cond["label"]}
    )
    assert evaluate(memory, dataset=data).copies["verdict"] == "fail"


@pytest.fixture(scope="module")
def three(points):
    """Two seeds of a good model and one of a poor one."""
    data, fresh = points
    near = torch.cdist(fresh, centres().float()).argmin(1)
    return [
        evaluate(stand(data, rows, name, seed), n=N, dataset=data).as_dict()
        for rows, name, seed in (
            (fresh[::2], "good", 0), (fresh[1::2], "good", 1), (fresh[near >= 12], "poor", 0)
        )
    ]  # fmt: skip


def test_seeds_are_one_row_and_the_better_one_is_told(three):
    table = compare_verdicts(three)
    assert [row["name"] for row in table["rows"]] == ["good", "poor"]
    good = table["rows"][0]
    assert good["seeds"] == [0, 1] and len(good["metrics"]["kid"]["values"]) == 2
    assert table["best"]["coverage"] == [good["group"]]
    kid = next(d for d in table["differences"] if d["metric"] == "kid")
    assert kid["better"] in (good["group"], "no difference shown")
    assert "1 training seed" in table["warnings"][0]
    json.dumps(table, allow_nan=False)


def test_equal_models_show_no_difference(three):
    again = {**three[0], "group": "other", "name": "other"}
    table = compare_verdicts([three[0], again])
    assert {d["better"] for d in table["differences"]} == {"no difference shown"}
    assert all(len(best) == 2 for best in table["best"].values())


@pytest.mark.parametrize("key", ["n", "data", "extractor", "split", "judge"])
def test_unequal_conditions_are_refused(three, key):
    other = {**three[1], "conditions": {**three[1]["conditions"], key: "another"}}
    with pytest.raises(Refused, match=f"cannot be compared: {key} is"):
        compare_verdicts([three[0], other])


def test_a_wide_spread_over_seeds_hides_a_difference():
    def verdict(group, seed, value):
        e = {
            "name": "kid", "value": value, "low": value - 0.01, "high": value + 0.01, "n": N,
            "id": "f", "better": "lower", "unit": "", "tag": "", "floor": 0.0, "floor_n": N,
            "trivial": 1.0,
        }  # fmt: skip
        return {
            "conditions": {"n": N}, "group": group, "name": group, "run": f"{group}{seed}",
            "train_seed": seed, "passed": True, "estimates": [e],
        }  # fmt: skip

    lucky = [verdict("a", s, v) for s, v in enumerate((0.1, 0.3, 0.5))]
    plain = [verdict("b", s, v) for s, v in enumerate((0.38, 0.4, 0.42))]
    table = compare_verdicts(lucky + plain)
    assert table["differences"][0]["better"] == "no difference shown" and not table["warnings"]
    steady = [verdict("a", s, v) for s, v in enumerate((0.29, 0.3, 0.31))]
    table = compare_verdicts(steady + plain)
    assert table["differences"][0]["better"] == "a" and table["best"]["kid"] == ["a"]
    with pytest.raises(Refused, match="no verdict"):
        compare_verdicts([])
