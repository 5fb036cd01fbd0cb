"""A folder of samples that an earlier call has left some in."""

from __future__ import annotations

from genloom.cli import main
from genloom.gallery import older
from tests.unit.test_artifact import folder as folder  # a fixture: an artifact without a run


def test_only_samples_of_the_same_form_that_were_not_written_now_are_older(tmp_path):
    for name in ("000000.csv", "000001.csv", "all.csv", "000003.png", "000001.csv.json"):
        (tmp_path / name).touch()
    assert older(tmp_path, [tmp_path / "000000.csv", tmp_path / "all.csv"]) == 1
    assert older(str(tmp_path), [tmp_path / "grid.png"]) == 1


def test_sampling_again_says_what_else_lies_there(folder, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    for seed, said in ((0, ""), (2, "note: samples/ also holds 2 older files\n"), (2, None)):
        assert main(["sample", str(folder), "-n", "3", "--seed", str(seed)]) == 0
        out, err = capsys.readouterr()
        assert "3 samples in samples/; all of them: samples/grid.png" in out
        assert err == ("note: samples/ also holds 2 older files\n" if said is None else said)
