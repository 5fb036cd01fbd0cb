"""The command line without training: it teaches, its errors are one line, its JSON is JSON."""

from __future__ import annotations

import json
import re
import shlex
import shutil
import subprocess
import sys
from dataclasses import replace
from unittest.mock import Mock

import numpy
import pytest
import torch

from genloom import catalog, verbs
from genloom.cli import main, parser
from genloom.evaluation import Verdict
from tests.unit.test_artifact import folder as folder  # a fixture: an artifact without a run

VERBS = (
    "train",
    "sample",
    "evaluate",
    "compare",
    "data",
    "runs",
    "card",
    "env",
    "completion",
    "tune",
    "ensemble",
    "edit",
)


@pytest.fixture(autouse=True)
def elsewhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def said(capsys) -> tuple[str, str]:
    captured = capsys.readouterr()
    return captured.out, captured.err


@pytest.mark.parametrize("verb", VERBS)
def test_help_teaches_with_examples(verb, capsys):
    try:
        code = main([verb, "--help"])
    except SystemExit as ended:
        code = ended.code
    assert code == 0
    out, _ = said(capsys)
    assert "examples:" in out
    assert len(re.findall(rf"^  genloom {verb}", out, re.MULTILINE)) >= 2


@pytest.mark.parametrize("verb", VERBS)
def test_examples_parse(verb):
    """Every example of a help page is a command line that the parser takes."""
    top = parser()
    page = next(a for a in top._actions if a.dest == "verb").choices[verb].description
    examples = re.findall(r"^  genloom (.+?)(?:   .*| >.*)?$", page, re.MULTILINE)
    assert examples
    for example in examples:
        if "--help" in example:
            continue
        args, rest = top.parse_known_args(shlex.split(example))
        assert args.verb == verb
        assert not rest or verb in ("sample", "evaluate"), (example, rest)


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("trian", "'trian' is unknown; did you mean 'train'"),
        ("train --minuts 3", "did you mean '--minutes'"),
        ("train --min 3", "takes no '--min'"),
        ("train --minutes x", "invalid float value: 'x'"),
        ("train --minutes", "expected one argument"),
        ("train", "no data"),
        ("train --data digits", "no model"),
        ("train nope.toml", "there is no recipe nope.toml"),
        ("train --data digits --model flwo", "did you mean 'flow'"),
        ("train --data digts --model flow", "did you mean 'digits'"),
        ("train --data digits --model vae --set train.stesp=3", "did you mean 'steps'"),
        ("train --data digits --model vae --set model.latnet=3", "did you mean 'latent'"),
        ("train --data digits --model vae --set nonsense", "TABLE.KEY=VALUE"),
        ("train --data digits --model vae --steps 0", "out of range"),
        ("train --data digits --model os:system", "outside the catalog"),
        ("train --resume nope", "there is no run 'nope'"),
        ("sample", "which model?"),
        ("sample nope", "there is no model 'nope'"),
        ("evaluate", "judge which run?"),
        ("evaluate nope", "there is no model 'nope'"),
        ("card nope", "there is no model 'nope'"),
        ("data chekc x", "'chekc' is unknown; did you mean 'check'"),
        ("data check", "check what?"),
        ("data check nope", "nope"),
        ("data check digits --set train.lr=1", "data takes data.KEY alone"),
        ("data check digits --set data.sise=8", "did you mean 'size'"),
        ("compare", "not both"),
        ("compare nope", "there is no model 'nope'"),
        ("compare --data digits --set model.latent=3", "data.KEY and train.KEY"),
        ("compare --data digits --families vae,flwo", "did you mean 'flow'"),
        ("completion fish", "'fish' is unknown"),
    ],
)
def test_a_mistake_is_one_line_and_exit_code_2(line, words, capsys):
    assert main(line.split()) == 2
    out, err = said(capsys)
    assert words in err
    assert err.startswith("genloom: ")
    assert err.count("\n") == 1
    assert out == ""


def test_a_mistake_is_json_where_json_was_asked_for(capsys):
    assert main(["train", "--data", "digits", "--model", "flwo", "--json"]) == 2
    out, _ = said(capsys)
    assert json.loads(out)["exit_code"] == 2


def test_the_list_names_the_whole_catalog(capsys):
    assert main(["train", "--list", "--json"]) == 0
    found = json.loads(said(capsys)[0])
    assert set().union(*found.values()) == set(catalog.CATALOG)
    main(["train", "--list"])
    assert all(
        f"  {name} " in said_once for said_once in [said(capsys)[0]] for name in found["model"]
    )


def test_environment_and_runs_are_json(capsys):
    assert main(["env", "--json"]) == 0
    facts = json.loads(said(capsys)[0])
    assert facts["packages"]["torch"]
    assert facts["threads"] >= 1
    assert facts["bfloat16_speed"] > 0
    assert main(["runs", "--json"]) == 0
    assert json.loads(said(capsys)[0]) == {"runs": []}


def test_the_environment_names_no_user_host_or_path(capsys):
    import getpass
    import socket

    main(["env", "--json"])
    text = said(capsys)[0]
    assert socket.gethostname() not in text
    assert sys.prefix not in text
    assert f'"{getpass.getuser()}"' not in text


@pytest.mark.parametrize(("color", "coloured"), [(None, True), ("1", False)])
def test_colour_only_on_terminals_and_without_no_color(color, coloured, monkeypatch, capsys):
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.delenv("NO_COLOR", raising=False)
    if color:
        monkeypatch.setenv("NO_COLOR", color)
    main(["trian"])
    assert ("\x1b[" in said(capsys)[1]) is coloured
    monkeypatch.setattr(sys.stderr, "isatty", lambda: False, raising=False)
    main(["trian"])
    assert "\x1b[" not in said(capsys)[1]


def test_completion_is_shell(capsys):
    pytest.importorskip("shtab")
    assert main(["completion", "bash"]) == 0
    script = said(capsys)[0]
    assert "--families" in script
    bash = shutil.which("bash")
    if bash:
        subprocess.run([bash, "-n"], input=script, text=True, check=True)


def test_sampling_options_are_flags_of_the_signature(folder, capsys):
    with pytest.raises(SystemExit) as caught:
        main(["sample", str(folder), "--help"])
    assert caught.value.code == 0
    out, _ = said(capsys)
    assert "--temperature FLOAT" in out
    assert "default 1.0, from 0" in out
    assert "--noise, --no-noise" in out


def test_sample_writes_pictures_and_says_where(folder, tmp_path, capsys):
    line = ["sample", str(folder), "-n", "3", "--seed", "7", "--temperature", "0.5", "--json"]
    assert main(line) == 0
    report = json.loads(said(capsys)[0])
    names = [path.name for path in sorted((tmp_path / "samples").iterdir())]
    assert names == ["000007.png", "000008.png", "000009.png", "grid.png"]
    assert report["temperature"] == 0.5
    original = (tmp_path / "samples" / "000008.png").read_bytes()
    again = ["sample", str(folder), "--again", "samples/000008.png", "--out", "again"]
    assert main(again) == 0
    assert (tmp_path / "again" / "000008.png").read_bytes() == original


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("--temprature 0.5", "did you mean '--temperature'"),
        ("--temperature 9", "out of range"),
        ("--temperature warm", "invalid float value"),
        ("--label ten", "there is no class 'ten'"),
        ("-n 0", "n = 0"),
        ("extra", "takes no 'extra'"),
    ],
)
def test_a_mistake_in_sampling_is_one_line(folder, line, words, capsys):
    assert main(["sample", str(folder), *line.split()]) == 2
    out, err = said(capsys)
    assert words in err
    assert err.count("\n") == 1
    assert out == ""


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("--steps-curve 1,4", "takes no 'steps'"),
        ("--steps-curve", "takes no 'steps'"),
        ("--steps-curve 1,few", "'1,few' is no list of counts"),
        ("--steps-curv 1", "did you mean"),
    ],
)
def test_a_model_without_steps_has_no_quality_against_steps(folder, line, words, capsys):
    assert main(["evaluate", str(folder), *line.split()]) == 2
    out, err = said(capsys)
    assert words in err and err.count("\n") == 1 and out == ""


def test_quality_against_steps_is_a_flag_of_the_model(folder, capsys):
    with pytest.raises(SystemExit):
        main(["evaluate", str(folder), "--help"])
    assert "--steps-curve" in said(capsys)[0]
    assert main(["sample", str(folder), "--steps-curve", "1"]) == 2
    assert "takes no '--steps-curve'" in said(capsys)[1]


@pytest.mark.parametrize(
    ("given", "counts"),
    [([], None), (["--steps-curve"], [1, 2, 4, 8, 16, 32, 64]), (["--steps-curve=3,1"], [3, 1])],
)
def test_counts_of_steps_reach_the_verdict_and_its_text(folder, given, counts, monkeypatch, capsys):
    curve = {
        "name": "kid", "n": 40, "floor": 0.25,
        "points": [{
            "steps": 3, "value": 0.125, "low": 0.0625, "high": 0.5, "evaluations": 4.5,
            "seconds": 0.002,
        }],
    }  # fmt: skip
    asked = []

    def judged(artifact, **options):
        asked.append(options.get("steps_curve"))
        facts = {"temperature": options.get("temperature")}
        verdict = Verdict(facts, [], {}, {}, [], [], {}, {} if counts is None else curve)
        return verdict, artifact.path

    monkeypatch.setattr("genloom.runs.judge", judged)
    line = ["evaluate", str(folder), *given, "--temperature", "0.5"]
    assert main(line) == 0 and asked == [counts]
    out, _ = said(capsys)
    row = next((text for text in out.splitlines() if text.startswith("    3 ")), "")
    shown = row.split() == ["3", "0.125", "0.0625", "to", "0.5", "4.5", "2"]
    assert shown == ("n = 40 at each; real against real 0.25" in out) == (counts is not None)
    assert main([*line, "--json"]) == 0
    report = json.loads(said(capsys)[0])
    assert report["temperature"] == 0.5 and report.get("steps_curve") == (counts and curve)


def test_the_card_is_shown(folder, capsys):
    assert main(["card", str(folder)]) == 0
    assert said(capsys)[0].startswith("# vae on digits")
    assert main(["card", str(folder), "--json"]) == 0
    assert json.loads(said(capsys)[0])["format"] == 1


def test_an_alarm_that_still_rings_at_the_end_is_the_exit_code(tmp_path, monkeypatch, capsys):
    from genloom import health

    rule = health.RULES["diversity"]
    monkeypatch.setitem(
        health.RULES, "diversity", replace(rule, bad=lambda v: True, patience=health.EVERY)
    )
    chosen = ["--data", "moons", "--model", "vae", "--steps", "10", "--out", str(tmp_path / "r")]
    code = main(["train", *chosen, "--set", "train.preview_every=5", "--quiet"])
    assert code == rule.error.exit_code == 12
    assert "collapse at step 5: the samples have" in said(capsys)[0]
    assert json.loads((tmp_path / "r" / "run.json").read_text())["active"] == ["diversity"]


def test_little_that_is_held_out_is_told_with_the_next_step(tmp_path, capsys):
    torch.manual_seed(0)
    numpy.savez(tmp_path / "few.npz", x=torch.randn(600, 2).numpy())
    chosen = ["--data", str(tmp_path / "few.npz"), "--model", "vae", "--steps", "2"]
    assert main(["train", *chosen, "--out", str(tmp_path / "a run"), "--quiet"]) == 0
    assert f"genloom evaluate '{tmp_path}/a run' --force   (of 6" in said(capsys)[0]


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (
            RuntimeError(
                "[enforce fail at alloc_cpu.cpp:127] err == 0. DefaultCPUAllocator: can't allocate "
                "memory: you tried to allocate 160000000000 bytes. Error code 12"
            ),
            "memory: 160000000000 bytes were",
        ),
        (torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 GiB."), "20.00 GiB"),
        (MemoryError(), "not enough memory. Make"),
    ],
)
def test_what_does_not_fit_in_memory_is_one_line(error, told, monkeypatch, capsys):
    monkeypatch.setattr(verbs, "env", Mock(side_effect=error))
    assert main(["env"]) == 2
    assert told in said(capsys)[1]


def test_other_errors_of_torch_are_not_hidden(monkeypatch):
    monkeypatch.setattr(verbs, "env", Mock(side_effect=RuntimeError("shapes do not match")))
    with pytest.raises(RuntimeError, match="shapes"):
        main(["env"])
