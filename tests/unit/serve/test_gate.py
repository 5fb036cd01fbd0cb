"""The gate: only the right verdict of the right weights lets a model through."""

from __future__ import annotations

import hashlib
import json
import os
from dataclasses import replace

import pytest

from genloom.errors import BadInput
from genloom.serve.gate import Gate, Rules, check_gate
from genloom.serve.judged import Verdicts
from genloom.serve.known import Known
from genloom.serve.problems import Problem
from genloom.serve.settings import Settings

MINE, OTHER = "ab" * 32, "cd" * 32
ESTIMATES = [
    {"name": "copies", "value": 0.004, "low": 0.001, "high": 0.015, "floor": 0.0},
    {"name": "label_accuracy", "value": 0.93, "low": 0.91, "high": 0.95, "floor": 0.97},
    {"name": "frechet", "value": 5.0, "low": 4.0, "high": 6.0, "floor": 2.0},
]


def verdict(**change):
    told = {"model": MINE, "passed": True, "failures": [], "estimates": ESTIMATES, "conditions": {}}
    return told | change


def write(folder, **change):
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "verdict.json"
    path.write_text(json.dumps(verdict(**change)), "utf-8")
    return path


@pytest.fixture
def known(tmp_path):
    (tmp_path / "run" / "model").mkdir(parents=True)
    facts = {"recipe": "r", "data": "d", "created": 0, "items": None, "options": {}}
    can = {"tokens": False, "labelled": False, "latent": None, "edits": False}
    return Known(name="mine", folder=tmp_path / "run" / "model", hash=MINE, **facts, **can)


def gate(tmp_path, text, ungated=()):
    (tmp_path / "gate.toml").write_text(text, "utf-8")
    verdicts = Verdicts(tmp_path / "server" / "verdicts")
    return Gate(Rules.read(tmp_path / "gate.toml"), verdicts, frozenset(ungated))


PASS = '[gate]\nrequire = "pass"\n'


def test_without_rules_everything_passes_and_the_verdict_is_told_all_the_same(tmp_path, known):
    open_gate = Gate(None, Verdicts(tmp_path / "verdicts"))
    assert (open_gate.state(known), open_gate.admit(known).report) == ("none", None)
    path = write(known.folder.parent)
    assert open_gate.admit(known).report == hashlib.sha256(path.read_bytes()).hexdigest()


def test_a_model_without_a_verdict_or_with_another_ones_waits(tmp_path, known):
    closed = gate(tmp_path, PASS)
    for prepare in (lambda: None, lambda: write(known.folder.parent, model=OTHER)):
        prepare()
        assert closed.state(known) == "waiting"
        with pytest.raises(Problem, match=r"no verdict of these weights.*Evaluate it") as caught:
            closed.admit(known)
        assert (caught.value.status, caught.value.code) == (403, "gate_not_passed")
    write(known.folder.parent)
    assert closed.state(known) == "passed"
    assert closed.state(replace(known, hash=OTHER)) == "waiting"


def test_a_verdict_that_is_no_pass_does_not_pass(tmp_path, known):
    write(known.folder.parent, passed=False, failures=["3 % are copies"])
    assert gate(tmp_path, PASS).objections(known) == ["its verdict is no pass: 3 % are copies"]
    assert gate(tmp_path, "[gate]\nmax.copies = 0.5").state(known) == "passed"


@pytest.mark.parametrize(
    ("bound", "objection"),
    [
        ("max.copies = 0.015", None),
        ("max.copies = 0.01", "the upper end of its interval, 0.015, must be at most 0.01"),
        ("max.copies = 0", "copies is 0.004, and the upper end"),
        ("min.label_accuracy = 0.91", None),
        ("min.label_accuracy = 0.92", "the lower end of its interval, 0.91, must be at least 0.92"),
        ("max.frechet_ratio = 3", None),
        ("max.frechet_ratio = 2.9", "frechet_ratio is 2.5, and the upper end of its interval, 3"),
        ("max.copies_ratio = 9", "copies has no floor above 0"),
        ("max.frechte = 3", "no measure 'frechte'; did you mean 'frechet'"),
    ],
)
def test_the_pessimistic_end_must_keep_the_bound(tmp_path, known, bound, objection):
    write(known.folder.parent)
    found = gate(tmp_path, f"[gate]\n{bound}\n").objections(known)
    assert len(found) == (objection is not None)
    assert objection is None or objection in found[0]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("x = [", "cannot be read"),
        ("max.copies = 0", "one table"),
        ("[gate]", "asks for nothing"),
        ('[gate]\nrequire = "yes"', "it can only be"),
        ("[gate]\nmaximum.copies = 0", "has no 'maximum'"),
        ('[gate]\nmax.copies = "0"', "is not a number"),
        ("[gate]\nmax.copies = nan", "is not a number"),
        ("[gate]\nmax = 3", "write max.MEASURE"),
    ],
)
def test_a_mistake_in_the_file_is_an_error(tmp_path, text, said):
    with pytest.raises(BadInput, match=said):
        gate(tmp_path, text)


def test_the_operator_may_let_a_model_through_and_it_is_told(tmp_path, known):
    opened = gate(tmp_path, PASS, ungated=["mine"])
    assert (opened.admit(known).gate, opened.admit(known).report) == ("overridden", None)
    assert opened.state(replace(known, name="other")) == "waiting"
    write(known.folder.parent)
    assert opened.state(known) == "passed"


def test_a_job_that_passes_opens_the_gate_and_one_that_fails_closes_it(tmp_path, known):
    closed = gate(tmp_path, PASS)
    assert closed.state(known) == "waiting"
    jobs = tmp_path / "server" / "verdicts"
    first = write(jobs / "one")
    assert closed.state(known) == "passed"
    second = write(jobs / "two", passed=False, failures=["copies"])
    os.utime(second, ns=(first.stat().st_mtime_ns + 10**9,) * 2)
    assert closed.state(known) == "waiting"
    os.utime(first, ns=(second.stat().st_mtime_ns + 10**9,) * 2)
    assert closed.state(known) == "passed"


def test_the_measures_of_a_card_keep_bounds_and_cannot_say_whether_it_passed(tmp_path, known):
    carded = replace(known, measures={one["name"]: one for one in ESTIMATES})
    assert gate(tmp_path, "[gate]\nmax.copies = 0.02").state(carded) == "passed"
    assert "no verdict tells" in gate(tmp_path, PASS).objections(carded)[0]
    broken = replace(known, measures={"copies": {"value": "0"}})
    assert gate(tmp_path, "[gate]\nmax.copies = 0.02").state(broken) == "waiting"


def test_a_verdict_that_comes_just_after_its_folder_is_found(tmp_path, known):
    closed = gate(tmp_path, PASS)
    job = tmp_path / "server" / "verdicts" / "one"
    job.mkdir(parents=True)
    assert closed.state(known) == "waiting"
    write(job)
    assert closed.state(known) == "passed"


@pytest.mark.parametrize(
    "text",
    ["", "[]", "{}", json.dumps(verdict(estimates=[{"name": "copies"}])), "\0", '{"model": 1}'],
)
def test_a_damaged_verdict_is_none(tmp_path, known, text):
    (known.folder / "verdict.json").write_text(text, "utf-8")
    assert gate(tmp_path, PASS).objections(known) == ["it has no verdict of these weights"]


def test_a_server_does_not_start_with_a_model_that_waits(tmp_path, known, capsys):
    closed = gate(tmp_path, PASS + "max.copies = 0")
    write(known.folder.parent, passed=False)
    with pytest.raises(BadInput, match="nothing is served, because of mine") as caught:
        check_gate(closed, [known])
    assert caught.value.exit_code == 2
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 2 and all(line.startswith("genloom: mine does not pass") for line in lines)
    write(known.folder.parent)
    check_gate(gate(tmp_path, PASS), [known])


def test_what_is_let_through_must_be_served_and_needs_a_gate(tmp_path):
    (tmp_path / "gate.toml").write_text(PASS, "utf-8")
    settings = Settings(models={"mine": tmp_path}, folder=tmp_path, ungated=frozenset(["mine"]))
    with pytest.raises(BadInput, match="needs a gate"):
        Gate.of(settings)
    gated = replace(settings, gate=tmp_path / "gate.toml")
    assert Gate.of(gated).ungated == {"mine"}
    with pytest.raises(BadInput, match="mien is not served; did you mean 'mine'"):
        Gate.of(replace(gated, ungated=frozenset(["mien"])))
