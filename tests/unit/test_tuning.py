"""A search: it finds the better half of a range, goes on after a kill, and never opens the test."""

from __future__ import annotations

import argparse
import json
import shutil

import pytest
import torch

from genloom import runs, tuning, tuning_verb
from genloom.artifact import load
from genloom.cli import Parser
from genloom.data import dataset
from genloom.errors import BadInput, Diverged, GenloomError, MissingExtra
from genloom.held_out import choose, held_out_distance, held_out_loss
from genloom.recipe import load_recipe, resolve
from genloom.record import locked
from genloom.trials import Trial, Tuning
from genloom.tuning import tune

pytest.importorskip("optuna")

NET = {"use": "mlp", "width": 16, "blocks": 1}
RECIPE = {
    "data": {"source": "moons"},
    "model": {"use": "flow", "net": NET},
    "train": {"steps": 12, "batch": 32},
}
SEARCH = ["train.lr=1e-6..1e-1", "model.net.blocks=1,2"]


def quiet(line: str) -> None:
    """Say nothing."""


def search(out, trials=3, recipe=RECIPE, **given):
    given = {"search": SEARCH, "quiet": True, "progress": quiet, **given}
    return tune(recipe, trials=trials, out=out, **given)


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    return search(tmp_path_factory.mktemp("search") / "out")


def test_the_first_trial_is_the_recipe_as_it_is(found):
    assert found.trials[0].values == {"train.lr": 1e-3, "model.net.blocks": 1}
    assert len({json.dumps(t.values) for t in found.trials}) == 3
    assert all(1e-6 <= t.values["train.lr"] <= 1e-1 for t in found.trials)


def test_every_trial_is_a_run_with_its_values(found):
    for trial in found.trials:
        state = json.loads((found.out / trial.folder / "run.json").read_text())
        assert state["status"] == "done"
        assert state["recipe"]["train"]["lr"] == trial.values["train.lr"]
        assert state["recipe"]["model"]["net"]["blocks"] == trial.values["model.net.blocks"]


def test_the_value_is_the_held_out_loss_of_the_trained_model(found):
    dataset = resolve(RECIPE).dataset
    for trial in found.trials:
        model = load(found.out / trial.folder)
        assert trial.value == held_out_loss(model, dataset)
    assert "validation" in found.facts["measure"] and "loss" in found.facts["measure"]
    assert found.best.value == min(t.value for t in found.trials)


def test_the_best_recipe_trains_to_the_best_weights(found, tmp_path):
    recipe = load_recipe(found.out / "best.toml")
    again = runs.start(recipe, out=tmp_path / "again", quiet=True)
    a, b = (load(p).model.state_dict() for p in (again, found.out / found.best.folder))
    assert all(torch.equal(a[key], b[key]) for key in b)


def test_a_killed_search_goes_on_to_the_same_result(found, tmp_path):
    killed = tmp_path / "killed"
    shutil.copytree(found.out, killed)
    content = json.loads((killed / "tune.json").read_text())
    content["trials"] = content["trials"][:2]
    content["trials"][1] |= {"status": "running", "value": None}
    (killed / "tune.json").write_text(json.dumps(content))
    shutil.rmtree(killed / "trial-01")
    shutil.rmtree(killed / "trial-02")
    again = search(killed)
    assert [t.values for t in again.trials] == [t.values for t in found.trials]
    assert [t.value for t in again.trials] == [t.value for t in found.trials]


def untrained(monkeypatch):
    """Let trials train nothing."""

    def run(trial, *rest):
        trial.status, trial.value = "done", float(len(json.dumps(trial.values)))

    monkeypatch.setattr(tuning, "_run", run)


SPACES = {
    ("model.net.width=16,32",): 2,
    ("model.net.blocks=1..3",): 3,
    ("model.net.blocks=1,2", "train.batch=32..34"): 6,
}


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize(("space", "count"), SPACES.items())
def test_nothing_is_tried_twice_and_the_search_ends_where_all_was(
    tmp_path, monkeypatch, space, count, seed
):
    untrained(monkeypatch)
    said: list[str] = []
    asked = {"search": space, "seed": seed, "progress": said.append}
    some = search(tmp_path / "out", count - 1, **asked)
    assert not any("all combinations" in line for line in said)
    found = search(tmp_path / "out", count + 5, **asked)
    values = [json.dumps(trial.values) for trial in found.trials]
    assert len(values) == len(set(values)) == count
    assert said[-1] == f"all combinations were tried: the search ends after {count} trials."
    assert [t.values for t in some.trials] == [t.values for t in found.trials][: count - 1]


def test_a_search_that_tried_the_same_again_goes_on(tmp_path, monkeypatch):
    untrained(monkeypatch)
    asked = {"search": ["model.net.width=16,32,48"]}
    found = search(tmp_path / "out", 1, **asked)
    content = json.loads((found.out / "tune.json").read_text())
    content["trials"] += [{**content["trials"][0], "folder": f"trial-0{i}"} for i in (1, 2)]
    (found.out / "tune.json").write_text(json.dumps(content))
    again = search(found.out, 9, **asked)
    assert [t.values["model.net.width"] for t in again.trials[:3]] == [16] * 3
    assert {t.values["model.net.width"] for t in again.trials[3:]} == {32, 48}
    assert len(again.trials) == 5


def test_what_is_left_is_found_where_a_draw_finds_nothing(monkeypatch):
    monkeypatch.setattr(tuning, "ASKED", 0)
    space = tuning.parse(["train.batch=1..100000000", "train.lr=0.1..0.2"], resolve(RECIPE).recipe)
    trials: list[Trial] = []
    for number in range(4):
        trials.append(Trial("", tuning._suggest(number, space, trials, {}, 0), "done", 1.0))
    assert len({json.dumps(trial.values) for trial in trials}) == 4
    assert all(0.1 <= trial.values["train.lr"] <= 0.2 for trial in trials)


def test_a_finished_search_trains_nothing_and_another_one_is_refused(found, monkeypatch):
    monkeypatch.setattr(runs, "start", lambda *a, **k: pytest.fail("trained again"))
    assert search(found.out).as_dict() == found.as_dict()
    with pytest.raises(BadInput, match="another search"):
        search(found.out, search=["train.lr=1e-6..1e-1"])
    with pytest.raises(BadInput, match="another seed"):
        search(found.out, seed=1)


def test_the_page_shows_every_trial_and_parameter(found):
    page = (found.out / "tune.html").read_text()
    assert 'name="viewport" content="width=device-width' in page
    assert page.count("<svg") == 2 and page.count("<circle") == 2 * 3
    assert page.count('class="best"') == 2
    assert all(f"<td>{t.folder}" in page for t in found.trials)


def test_the_test_part_is_never_opened(tmp_path, monkeypatch):
    opened, part = [], dataset._part

    def noted(pack, told, name, *more, **other):
        opened.append(name)
        return part(pack, told, name, *more, **other)

    monkeypatch.setattr(dataset, "_part", noted)
    search(tmp_path / "out", 1, measure="kid")
    assert set(opened) == {"train", "valid"}


def test_a_trial_that_diverges_is_a_result_and_the_search_goes_on(tmp_path, monkeypatch):
    real = runs.start

    def start(recipe, **given):
        if recipe["train"]["lr"] > 5e-4:
            raise Diverged("the loss is nan.")
        return real(recipe, **given)

    monkeypatch.setattr(runs, "start", start)
    found = search(tmp_path / "out", 6)
    assert found.trials[0].status == "failed" and "nan" in found.trials[0].message
    assert found.best.values["train.lr"] <= 5e-4
    monkeypatch.setattr(runs, "start", lambda *a, **k: (_ for _ in ()).throw(Diverged("nan.")))
    with pytest.raises(GenloomError, match="all 2 trials failed"):
        search(tmp_path / "none", 2)


def test_a_value_that_is_no_number_is_a_failed_trial(tmp_path, monkeypatch):
    values = iter([float("nan"), 2.0])
    monkeypatch.setitem(tuning.MEASURES, "loss", lambda model, dataset: next(values))
    found = search(tmp_path / "out", 2)
    assert [t.status for t in found.trials] == ["failed", "done"]
    assert "nan" in found.trials[0].message and found.best is found.trials[1]


@pytest.mark.parametrize(("valid", "measure", "needs"), [(0.0, "loss", 1), (0.001, "kid", 50)])
def test_too_few_validation_items_are_told_before_training(tmp_path, valid, measure, needs):
    recipe = {**RECIPE, "data": {"source": "moons", "valid": valid}}
    with pytest.raises(BadInput, match=f"needs {needs}: bring more data"):
        search(tmp_path / "out", 1, recipe, measure=measure)
    assert not (tmp_path / "out").exists()


def test_a_combination_that_does_not_fit_is_a_failed_trial(tmp_path):
    recipe = {**RECIPE, "train": {"steps": 4, "batch": 32, "accumulate": 2}}
    found = search(tmp_path / "out", 3, recipe, search=["train.batch=32,33"])
    assert {t.status for t in found.trials if t.values["train.batch"] == 33} <= {"failed"}
    assert {t.status for t in found.trials if t.values["train.batch"] == 32} == {"done"}


def test_the_search_follows_what_it_has_learnt():
    """Where only small rates did well, most of what is tried next is small."""
    (space, *_) = [tuning.parse(SEARCH[:1], resolve(RECIPE).recipe)]
    rates = torch.logspace(-5.9, -1.1, 20, dtype=torch.float64).tolist()
    known = [Trial(f"{i}", {"train.lr": lr}, "done", lr) for i, lr in enumerate(rates)]
    tried = [tuning._suggest(20, space, known, {}, seed)["train.lr"] for seed in range(12)]
    assert sum(lr < 1e-4 for lr in tried) >= 10  # of a log-uniform draw 2 in 5 were


def test_failures_count_as_the_worst_and_are_avoided():
    space = tuning.parse(SEARCH[:1], resolve(RECIPE).recipe)
    rates = torch.logspace(-5.9, -1.1, 20, dtype=torch.float64).tolist()
    known = [
        Trial("", {"train.lr": lr}, "failed")
        if lr > 1e-4
        else Trial("", {"train.lr": lr}, "done", 1 - lr)
        for lr in rates
    ]
    tried = [tuning._suggest(20, space, known, {}, seed)["train.lr"] for seed in range(12)]
    assert sum(lr < 1e-4 for lr in tried) >= 10


@pytest.mark.parametrize(
    ("model", "keys", "wanted"),
    [
        ("flow", ["train.lr=1e-4..1e-2"], "loss"),
        ("flow", ["model.net.blocks=1,2"], "loss"),
        ("flow", ["model.drop=0.1,0.2"], "kid"),
        ("mlp_gan", ["train.lr=1e-4..1e-2"], "kid"),
    ],
)
def test_the_measure_is_one_that_the_search_does_not_move(model, keys, wanted):
    plan = resolve({"data": {"source": "moons"}, "model": {"use": model}})
    assert choose(None, plan, [key.partition("=")[0] for key in keys]) == wanted


PRIVATE = {**RECIPE, "train": {"steps": 4, "batch": 8, "dp_epsilon": 4.0}}


def test_a_private_search_spends_the_sum_over_all_its_trials(tmp_path, capsys):
    out = tmp_path / "out"
    found = search(out, 3, PRIVATE, search=["train.lr=1e-4..1e-2"])
    runs_ = [json.loads((out / t.folder / "run.json").read_text())["private"] for t in found.trials]
    told = found.private
    for name in ("epsilon", "delta"):
        assert told[name] == sum(run[name] for run in runs_) > 2 * runs_[0][name]
    assert json.loads((out / "tune.json").read_text())["private"] == told
    best = load(out / found.best.folder)
    assert best.card["training"]["private"]["search"]["epsilon"] == told["epsilon"]
    assert best.card["training"]["private"]["epsilon"] == runs_[0]["epsilon"]
    assert any("KID" in line for line in best.card["training"]["private"]["uncovered"])
    line = f"epsilon {told['epsilon']:.4g} at delta"
    for page in (best.path / "README.md", out / "best.toml", out / "tune.html"):
        assert line in page.read_text(), page
    shutil.rmtree(out / "trial-02")
    again = search(out, 3, PRIVATE, search=["train.lr=1e-4..1e-2"])
    assert again.private == told
    argued = argparse.Namespace(recipe=None, data="moons", model="flow", settings=[], json=False)
    vars(argued).update(minutes=None, steps=None, images=None, search=["train.lr=1e-4..1e-2"])
    argued.settings = ["model.net={use='mlp', width=16, blocks=1}", "train.batch=8"]
    argued.settings += ["train.steps=4", "train.dp_epsilon=4.0"]
    vars(argued).update(trials=3, out=out, measure=None, seed=0, allow_code=False, quiet=True)
    tuning_verb.tune(argued)
    assert capsys.readouterr().out.startswith(f"Private: {line}")


def test_a_failed_private_trial_has_spent_and_an_open_one_leaves_no_epsilon(tmp_path, found):
    spent = {"epsilon": 1.0, "delta": 1e-6}
    trials = [
        Trial("trial-00", {}, "done", 0.5, spent=spent),
        Trial("trial-01", {}, "failed", message="nan", spent=spent),
        Trial("trial-02", {}, "failed", message="it did not fit and trained nothing"),
    ]
    assert Tuning(tmp_path, {}, trials).private["epsilon"] == 2.0
    trials.append(Trial("trial-03", {}, "done", 0.4))
    assert Tuning(tmp_path, {}, trials).private is None
    del trials[-1]
    (tmp_path / "trial-02").mkdir()
    (tmp_path / "trial-02" / "run.json").write_text("{}")
    assert Tuning(tmp_path, {}, trials).private is None
    content = json.loads((found.out / "tune.json").read_text())
    assert "private" not in content and "spent" not in content["best"]


def test_one_search_at_a_time_works_in_a_folder(found, monkeypatch):
    with locked(found.out, 0), pytest.raises(BadInput, match="by another process"):
        search(found.out)
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(BadInput, match="one process"):
        search(found.out)


def test_several_players_have_no_loss(tmp_path):
    gan = {**RECIPE, "model": {"use": "mlp_gan"}}
    with pytest.raises(BadInput, match="2 players"):
        search(tmp_path / "out", 1, gan, search=SEARCH[:1], measure="loss")
    assert not (tmp_path / "out").exists()


def test_the_distance_tells_a_trained_model_from_a_fresh_one(tmp_path):
    longer = {**RECIPE, "train": {"steps": 300, "batch": 64, "lr": 5e-3}}
    dataset = resolve(RECIPE).dataset
    good, bad = (
        held_out_distance(load(runs.start(r, out=tmp_path / n, quiet=True)), dataset)
        for n, r in (("good", longer), ("bad", {**RECIPE, "train": {"steps": 1}}))
    )
    assert good < 0.6 * bad


def test_models_that_are_given_a_source_are_measured_under_it(tmp_path):
    data = {"source": "digits", "given": "masked"}
    net = {"use": "unet", "width": 8, "levels": 2}
    recipe = {"data": data, "model": {"use": "flow", "net": net}, "train": {"steps": 1, "batch": 8}}
    dataset = resolve(recipe).dataset
    flow = load(runs.start(recipe, out=tmp_path / "flow", quiet=True))
    assert held_out_loss(flow, dataset) == held_out_loss(flow, dataset) > 0
    players = {"use": "translator_players", "width": 8, "levels": 2, "blocks": 1}
    recipe = {**recipe, "model": {"use": "pix2pix", "net": players}}
    pairs = load(runs.start(recipe, out=tmp_path / "pairs", quiet=True))
    assert held_out_distance(pairs, dataset) == held_out_distance(pairs, dataset)


def test_without_optuna_the_extra_is_named(tmp_path, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "optuna", None)
    with pytest.raises(MissingExtra, match=r"genloom\[tune\]"):
        search(tmp_path / "out")
    with pytest.raises(BadInput, match="trials = 0"):
        monkeypatch.undo()
        search(tmp_path / "out", 0)


def parsed(*words: str) -> argparse.Namespace:
    top = Parser(prog="genloom")
    table = top.add_subparsers(dest="verb", parser_class=Parser)

    def verb(name, about, run, **kwargs):
        made = table.add_parser(name, description=about, **kwargs)
        made.add_argument("--json", action="store_true")
        made.set_defaults(run=run)
        return made

    tuning_verb.add_parsers(verb)
    return top.parse_args(words)


def test_the_verb_prints_json_and_the_next_command(tmp_path, capsys):
    words = ["tune", "--data", "moons", "--model", "flow", "--steps", "4", "--trials", "2"]
    words += ["--set", "model.net.use=mlp", "--set", "model.net.width=8", "--quiet"]
    words += ["--search", "train.lr=1e-4..1e-2", "--out", str(tmp_path / "out")]
    args = parsed(*words, "--json")
    args.run(args)
    content = json.loads(capsys.readouterr().out)
    assert len(content["trials"]) == 2 and content["best"]["folder"].startswith("trial-")
    args = parsed(*words)
    args.run(args)
    assert f"genloom train {tmp_path / 'out' / 'best.toml'}" in capsys.readouterr().out
