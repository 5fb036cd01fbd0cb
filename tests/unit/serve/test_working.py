"""What jobs do with the command line: its answers, its failures, its end, and what owners read."""

from __future__ import annotations

import asyncio
import json
import os
import re
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from genloom import errors, health
from genloom.errors import BadInput
from genloom.serve import commands, verdicts, working
from genloom.serve.commands import verb
from genloom.studio import FOLDER


def test_a_verbs_json_is_read_without_what_is_ours():
    found = asyncio.run(verb(["data", "list", "--json"], hide={"moons": 'a "moon"', "rings": "r"}))
    assert found["builtin"] == ["digits", "glyphs", "factors", 'a "moon"', "r", "gaussians"]


@pytest.mark.parametrize("fine", [(0,), (0, 2)])
def test_a_failure_says_its_reason_whatever_codes_are_fine(tmp_path, fine):
    path = str(tmp_path / "none")
    with pytest.raises(BadInput) as caught:
        asyncio.run(verb(["data", "check", path, "--json"], fine=fine, hide={path: "mine.zip"}))
    assert "mine.zip" in str(caught.value) and path not in str(caught.value)
    assert not str(caught.value).startswith("genloom:")


def test_a_cancelled_verb_has_ended_when_the_caller_goes_on(tmp_path):
    async def cancel() -> int:
        words = [
            "train",
            "--data",
            "moons",
            "--model",
            "vae",
            "--minutes",
            "5",
            "--json",
            "--quiet",
        ]
        looked = asyncio.Event()
        loop = asyncio.get_running_loop()
        work = asyncio.create_task(
            verb(
                [*words, "--out", str(tmp_path / "run")],
                look=lambda: loop.call_soon_threadsafe(looked.set) and None,
            )
        )
        await looked.wait()
        [child] = await asyncio.to_thread(mine)
        work.cancel()
        with pytest.raises(asyncio.CancelledError):
            await work
        return child

    def mine() -> list[int]:
        me = Path(f"/proc/{os.getpid()}/task/{os.getpid()}/children")
        return [int(pid) for pid in me.read_text().split() if attached(pid)]

    def attached(pid: str) -> bool:
        return b"genloom.serve.attached" in Path(f"/proc/{pid}/cmdline").read_bytes()

    child = asyncio.run(cancel())
    assert not Path(f"/proc/{child}").exists()


def test_a_training_that_ends_under_an_alarm_has_a_model_all_the_same():
    assert set(working.ENDED) == {0, *(rule.error.exit_code for rule in health.RULES.values())}
    assert errors.Diverged.exit_code not in working.ENDED
    assert errors.Interrupted.exit_code not in working.ENDED


def report(**more):
    """A report of `genloom data check`."""
    found = {"source": "/secret/x.zip", "form": "pictures", "kind": "image", "n": 5}
    found |= {
        "shapes": {"3x8x9": 4, "1x2x2": 1},
        "classes": {"a": 3, "b": 2},
        "parts": {"train": 5},
    }
    return found | {"findings": [], "quarantine": [], "duplicates": 0, "ready": True} | more


def finding(i: int, kept: bool) -> dict:
    return {"path": f"{i:03d}" + "x" * 999, "code": "duplicate", "reason": "r", "kept": kept}


def test_a_survey_tells_what_was_left_out_first_and_is_short():
    many = [finding(i, kept=i != 290) for i in range(300)]
    told = working.surveyed(report(findings=many, quarantine=[many[290]["path"]]))
    assert (told["read"], told["quarantined"], told["shape"]) == (5, 1, [3, 8, 9])
    assert len(told["findings"]) == 200 and told["findings"][0]["file"][:3] == "290"
    assert [len(one["file"]) for one in told["findings"][:2]] == [300, 300]
    assert told["classes"] == [{"name": "a", "count": 3}, {"name": "b", "count": 2}]
    assert told["splits"] == {"train": 5} and "secret" not in json.dumps(told)


def test_a_survey_of_nothing_readable_has_no_shape():
    told = working.surveyed(report(shapes={}, classes={}, n=0, kind=""))
    assert (told["shape"], told["classes"], told["read"]) == ([], [], 0)


def test_pairs_are_pictures_as_base64_and_other_items_as_they_are():
    pair = {"distance": 0.5, "score": 0.1, "space": "items", "generated": 3, "train": 9}
    pictures = {"generated_item": "data:image/png;base64,QUJD", "train_item": [1.0, 2.0]}
    told = verdicts.plain({"report": "/secret", "n": 1, "copies": {"pairs": [pair | pictures]}})
    assert told == {"n": 1, "copies": {"pairs": [pair]}}
    assert verdicts._shown(pair | pictures, "m") == {
        "model": "m",
        "distance": 0.5,
        "score": 0.1,
        "space": "items",
        "generated_b64": "QUJD",
        "training": [1.0, 2.0],
    }


def test_a_process_is_not_waited_for_without_end():
    assert commands.PATIENCE_S < 30 < working.FREE_S


@pytest.mark.parametrize(
    ("name", "ending"),
    [
        ("Talks.JSONL", ".jsonl"),
        ("list.json", ".json"),
        ("rows.ndjson", ".ndjson"),
        ("cells.tsv", ".tsv"),
        ("rows.jsonl.gz", ".jsonl.gz"),
        ("mine.smi", ".smi"),
        ("tune.mid", ".mid"),
        ("book.txt.gz", ".gz"),
        ("a.b.zip", ".zip"),
    ],
)
def test_a_file_comes_to_the_trainer_with_the_ending_that_its_reader_goes_by(
    name, ending, tmp_path
):
    parts: Any = SimpleNamespace(
        settings=SimpleNamespace(folder=tmp_path),
        files=SimpleNamespace(get=lambda owner, id: SimpleNamespace(id="a" * 26, filename=name)),
        blobs=SimpleNamespace(get={"a" * 26: b"data"}.__getitem__),
    )
    job: Any = SimpleNamespace(id="job", owner="ada", body={"data": "a" * 26})
    path, hidden = working.Work(parts, job).source()
    assert path == f"uploads/{'a' * 26}{ending}" and re.fullmatch(working.UPLOAD, path)
    assert (tmp_path / path).read_bytes() == b"data" and hidden[path] == name


@pytest.mark.parametrize("name", ["run.py", "json", "a.json.exe", ""])
def test_a_file_of_another_ending_is_no_data(name):
    with pytest.raises(BadInput, match=r"data files end in .*json"):
        working.ending_of(name)


def test_the_studio_offers_the_files_that_the_server_takes():
    page = (FOLDER / "data.js").read_text(encoding="utf-8")
    (offered,) = re.findall(r'const ENDINGS = "(.*)";', page)
    assert tuple(offered.split(",")) == working.UPLOADS
