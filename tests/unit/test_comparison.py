"""Comparing families: equal terms, failures as results, nothing done twice."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

import numpy
import pytest
import torch

from genloom import catalog, comparison
from genloom.comparison import Comparison, compare
from genloom.errors import BadInput, Diverged, Refused
from genloom.metrics.league import compare_verdicts, unequal
from genloom.report import render
from tests.unit.report import made
from tests.unit.report.page import Page
from tests.unit.test_artifact import folder as folder  # a fixture: an artifact without a run

TINY = {"steps": 3, "batch": 8}


def quiet(line: str) -> None:
    """Say nothing."""


@pytest.mark.parametrize(
    ("given", "match"),
    [
        ({}, "either finished runs or --data"),
        ({"sources": ["runs/x"], "data": "moons"}, "either finished runs or --data"),
        ({"sources": ["no/such/run"]}, "no model 'no/such/run'"),
        ({"sources": [["runs/x", "runs/y"]]}, r"\['runs/x', 'runs/y'\] is no path: name each run"),
        ({"data": "moons", "seeds": 0}, "seeds = 0"),
        ({"data": "moons", "families": ["flow", "flow"]}, "'flow' is named twice"),
        ({"data": "moons", "families": ["flow", "flwo"]}, "did you mean 'flow'"),
        ({"data": "moons", "families": ["autoregressive"]}, "no codec turns points"),
        ({"data": "moons", "train_overrides": {"lrr": 1}}, "did you mean 'lr'"),
    ],
)
def test_mistakes_are_told_before_any_training(tmp_path, given, match):
    given = dict(given)
    with pytest.raises(BadInput, match=match):
        compare(*given.pop("sources", ()), out=tmp_path / "out", progress=quiet, **given)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("n", [None, 40])
def test_too_few_items_are_told_before_any_training(tmp_path, n):
    torch.manual_seed(0)
    numpy.savez(tmp_path / "few.npz", x=torch.randn(600 if n is None else 3000, 2).numpy())
    with pytest.raises(Refused, match="verdict"):
        compare(
            data=tmp_path / "few.npz", families=["vae"], n=n, out=tmp_path / "out", progress=quiet
        )
    assert not (tmp_path / "out").exists()


def test_all_is_every_family_that_the_data_suffice_for():
    said: list[str] = []
    recipes = comparison._recipes("moons", comparison.ALL, {}, {"steps": 1}, said.append)
    assert {"gan", "vae", "flow", "realnvp"} <= set(recipes)
    left_out = {line.split()[0] for line in said}
    assert {"autoregressive", "cyclegan", "pixelcnn"} <= left_out
    assert set(recipes) | left_out == set(catalog.names("model"))
    assert not set(recipes) & left_out
    assert recipes["vae"]["train"] == {"steps": 1}
    with pytest.raises(BadInput, match="lrr"):  # a mistake in what all share is no family's fault
        comparison._recipes("moons", comparison.ALL, {}, {"lrr": 1}, said.append)


def made_up() -> Comparison:
    content = made.comparison(("gan", "vae", "flow"))
    return Comparison({**content, "failed": [], "warnings": []}, Path("out/report.html"))


def test_json_holds_the_numbers_of_the_page_and_no_pictures():
    found = made_up()
    plain = json.loads(json.dumps(found.as_dict(), allow_nan=False))
    assert "data:image" not in json.dumps(plain)
    assert plain["table"]["rows"] == json.loads(json.dumps(found.content["table"]["rows"]))
    for verdict, whole in zip(plain["verdicts"], found.content["verdicts"]):
        assert verdict["estimates"] == json.loads(json.dumps(whole["estimates"]))
        assert len(verdict["copies"]["pairs"]) == len(whole["copies"]["pairs"])
    assert "data:image" in json.dumps(found.content)  # what was there is still there
    assert plain["report"] == "out/report.html"


def test_the_text_is_a_table_with_marks_and_the_path_of_the_page():
    lines = str(made_up()).splitlines()
    kid = next(line for line in lines if line.startswith("kid"))
    assert "0.0210+-0.0040*" in kid and "0.0190+-0.0040*" in kid and "0.0550+-0.0040 " in kid
    bits = next(line for line in lines if line.startswith("bits_per_dim"))
    assert bits.split()[1] == "-"
    assert lines[-1] == "page: out/report.html"
    assert any(line.startswith("note: 1 training seed") for line in lines)
    assert max(map(len, lines[:10])) < 100


def test_untrusted_features_rank_nobody_and_forms_of_likelihoods_are_apart():
    content = made.comparison(("vae", "autoregressive"), trusted=False)
    for estimate in content["verdicts"][1]["estimates"]:
        estimate["id"] = "exact; items as Pixels keeps them (16 values)"
    content["table"] = compare_verdicts(content["verdicts"])
    found = Comparison({**content, "failed": [], "warnings": []}, Path("report.html"))
    lines = str(found).splitlines()
    assert not any(line.startswith("kid") and "*" in line for line in lines)
    assert [line for line in lines if "+-" in line and line.startswith("bits_per_dim [")] != []
    assert "[1] items as stored" in lines and "[2] items as Pixels keeps them (16 values)" in lines
    assert not any(line.startswith("bits") and "*" in line for line in lines)  # one each: no race
    text = Page(render(found.content)).text
    assert "Only autoregressive has this measure." in text and "Best likelihood" not in text


def test_unequal_training_times_are_told():
    verdicts = [made.verdict("gan"), made.verdict("flow")]
    assert unequal(verdicts) == []
    verdicts[1]["training"]["seconds"] = 61.0 * 1.3
    (line,) = unequal(verdicts)
    assert "flow-seed0 was trained for 79 s, gan-seed0 for 61 s" in line


def test_a_verdict_of_other_weights_or_another_n_is_not_used(tmp_path):
    (tmp_path / "model").mkdir()
    card = tmp_path / "model" / "card.json"
    card.write_text(json.dumps({"files": {"weights.safetensors": "ab" * 32}}))
    assert comparison._stored(tmp_path, None) is None
    (tmp_path / "verdict.json").write_text(json.dumps(made.verdict("flow")))
    stored = comparison._stored(tmp_path, None)
    assert stored is not None and stored["name"] == "flow"
    assert comparison._stored(tmp_path, 1000) is not None
    assert comparison._stored(tmp_path, 500) is None
    card.write_text(json.dumps({"files": {"weights.safetensors": "cd" * 32}}))
    assert comparison._stored(tmp_path, None) is None


def test_models_of_other_data_are_told_before_any_judging(folder, tmp_path):
    for name, data in (("a", "ab"), ("b", "ab"), ("c", "cd"), ("d", None)):
        shutil.copytree(folder, tmp_path / name / "model")
        (tmp_path / name / "run.json").write_text("{}")
        path = tmp_path / name / "model" / "card.json"
        path.write_text(json.dumps({**json.loads(path.read_text()), "data": {"fingerprint": data}}))
    a, b, c, d = (tmp_path / name for name in "abcd")
    says = re.escape(f"{a} and {c} were trained on other data: compare runs of the same.")
    with pytest.raises(Refused, match=says):
        compare(a, b, c, out=tmp_path / "out", progress=pytest.fail)
    assert not (tmp_path / "out").exists()
    comparison._same_data([a, b, d])


class Stop(Exception):
    """Ends the work at a line of progress, as a kill would."""


@pytest.mark.slow
def test_a_comparison_goes_on_where_it_was_and_repeats_nothing(tmp_path):
    def run(*, stop_at: str = "never") -> tuple[Comparison, list[str]]:
        said: list[str] = []

        def say(line: str) -> None:
            said.append(line)
            if stop_at in line:
                raise Stop

        found = compare(
            data="moons",
            families=["flow", "gan"],
            n=200,
            out=tmp_path,
            train_overrides=TINY,
            progress=say,
        )
        return found, said

    with pytest.raises(Stop):
        run(stop_at="gan-seed0: judging")
    before = {p: p.stat().st_mtime_ns for p in tmp_path.glob("*/model/weights.safetensors")}
    judged = (tmp_path / "flow-seed0" / "verdict.json").stat().st_mtime_ns
    assert len(before) == 2 and not (tmp_path / "report.html").exists()

    found, said = run()
    assert {p: p.stat().st_mtime_ns for p in before} == before
    assert (tmp_path / "flow-seed0" / "verdict.json").stat().st_mtime_ns == judged
    assert [line for line in said if "judging" in line] == ["gan-seed0: judging"]
    assert [row["name"] for row in found.content["table"]["rows"]] == ["flow", "gan"]
    conditions = [v["conditions"] for v in found.content["verdicts"]]
    assert conditions[0] == conditions[1] and conditions[0]["n"] == 200
    assert [v["training"]["steps"] for v in found.content["verdicts"]] == [3, 3]
    assert found.page.read_text().startswith("<!doctype html>")
    on_disk = json.loads((tmp_path / "comparison.json").read_text())
    assert on_disk["table"] == json.loads(json.dumps(found.content["table"]))

    again, said = run()
    assert not [line for line in said if "judging" in line]
    assert again.content["table"] == found.content["table"]

    both = compare(*(tmp_path / f"{f}-seed0" for f in ("flow", "gan")), out=tmp_path / "two",
                   progress=quiet)  # fmt: skip
    assert both.content["table"]["rows"] == json.loads(json.dumps(found.content["table"]["rows"]))


@pytest.mark.slow
def test_seeds_of_a_family_are_one_row_with_their_spread(tmp_path):
    found = compare(
        data="moons",
        families=["flow"],
        seeds=2,
        n=200,
        out=tmp_path,
        train_overrides=TINY,
        progress=quiet,
    )
    (row,) = found.content["table"]["rows"]
    assert row["seeds"] == [0, 1] and len(row["metrics"]["kid"]["values"]) == 2
    assert len(set(row["metrics"]["kid"]["values"])) == 2
    assert "2 training seeds" in str(found)


@pytest.mark.slow
def test_a_failed_training_is_a_result(tmp_path):
    overrides = {**TINY, "steps": 40, "lr": 1e30, "clip": "none", "warmup": 0.0}
    with pytest.raises(Diverged):
        compare(
            data="moons",
            families=["flow"],
            n=200,
            out=tmp_path / "all",
            train_overrides=overrides,
            progress=quiet,
        )
    failed: list[dict] = []
    recipes = {
        "flow": {"data": {"source": "moons"}, "model": {"use": "flow"}, "train": overrides},
        "gan": {"data": {"source": "moons"}, "model": {"use": "gan"}, "train": TINY},
    }
    folders = comparison._train(recipes, 1, tmp_path / "some", failed, quiet)
    assert [folder.name for folder in folders] == ["gan-seed0"]
    assert [(f["family"], f["seed"], f["kind"]) for f in failed] == [("flow", 0, "Diverged")]
