"""What the server's verbs refuse before they do anything."""

from __future__ import annotations

import pytest

from genloom.cli import main


@pytest.mark.parametrize(
    "words", [("--workers", "0"), ("--workers", "-2"), ("--threads", "0"), ("--threads", "-1")]
)
def test_workers_and_their_threads_are_at_least_one(words, tmp_path, capsys):
    assert main(["serve", *words, "--folder", str(tmp_path / "state")]) == 2
    said = capsys.readouterr().err
    assert said == f"genloom: {' '.join(words)}: at least one is needed.\n"
    assert not (tmp_path / "state").exists()


@pytest.mark.parametrize("rate", ["3", "-0.1", "nan"])
def test_the_rate_of_an_index_is_a_share(rate, tmp_path, capsys):
    assert main(["index", "no-run", "--rate", rate, "--out", str(tmp_path / "x")]) == 2
    said = capsys.readouterr().err
    assert said.startswith("genloom: rate") and "in [0, 1]" in said


@pytest.mark.parametrize("name", ["nowhere/x.idx", "."])
def test_an_index_that_cannot_be_written_is_refused_before_its_data_are_read(
    name, tmp_path, capsys
):
    out = str(tmp_path / name)
    assert main(["index", "no-run", "--out", out]) == 2
    assert capsys.readouterr().err.startswith(f"genloom: --out {out}: ")


def test_help_says_which_requests_a_key_is_limited_in(capsys):
    with pytest.raises(SystemExit):
        main(["keys", "--help"])
    assert "requests for samples a minute" in capsys.readouterr().out
