"""Lines of a file as documents: trained, sampled, judged, kept, and served with an end."""

from __future__ import annotations

import json
import math
import urllib.error
import urllib.request

import pytest

from genloom import artifact, evaluation, runs
from genloom.lexicon import Letters
from tests.e2e.server import serving

SMALL = {"use": "transformer", "width": 32, "layers": 1, "heads": 2}
NAMES = [f"{a}{b}{c}{d}" for a in "bdklmnrst" for b in "aeiou" for c in "lnrst" for d in "aei"]


@pytest.fixture(
    scope="module",
    params=[{"tokenizer": "letters"}, {"tokenizer": "bpe", "vocab": 264}],
    ids=["letters", "bpe"],
)
def run(request, tmp_path_factory):
    folder = tmp_path_factory.mktemp("documents")
    (folder / "names.txt").write_text("\n".join(NAMES) + "\n")
    recipe = {
        "data": {
            "source": str(folder / "names.txt"),
            "document": "line",
            "test": 0.3,
            **request.param,
        },
        "model": {"use": "autoregressive", "net": SMALL},
        "train": {"batch": 32, "threads": 1},
    }
    runs.train(recipe, out=folder / "run", steps=250, quiet=True)
    return folder / "run"


def test_samples_are_documents_that_look_like_the_data(run):
    model = artifact.load(run)
    said = [model.items.read(item) for item in model.sample(200, seed=5)]
    assert sum(len(word) == 4 for word in said) > 150
    assert sum(word in NAMES for word in said) > 60


def test_the_artifact_alone_makes_the_same_text(run, tmp_path):
    model = artifact.load(run)
    (run / "model").rename(tmp_path / "elsewhere")
    again = artifact.load(tmp_path / "elsewhere")
    (tmp_path / "elsewhere").rename(run / "model")
    assert again.items == model.items
    assert again.sample(3, seed=1).tolist() == model.sample(3, seed=1).tolist()


def test_a_verdict_counts_the_letters_of_documents(run):
    model = artifact.load(run)
    verdict = evaluation.evaluate(model, force=True)
    found = {e.name: e for e in verdict.estimates}
    bits, least = found["bits_per_char"], math.log2(len(NAMES)) / 4
    assert least < bits.value < least + 0.3
    if isinstance(model.items.lexicon, Letters):  # their places know nothing of each other
        assert least < bits.trivial < least + 0.05
    assert 0 <= found["repetition"].value < 0.1
    byte = found["bits_per_byte"]  # a byte a letter
    assert byte.value == pytest.approx(bits.value) and byte.tag == "exact"
    assert set(byte.baselines) == {"gzip -9", "xz -9e", "5-gram"}
    assert least < byte.baselines["5-gram"] < byte.baselines["gzip -9"]
    assert {"two_sample", "longest_match", "distinct_4"} <= {*found}
    assert verdict.copies["recurrence"] == {"rate": 0, "error": 0}  # no name is there twice
    alike = found["self_bleu"]  # whose floor is that of as many, unlike that of others
    assert alike.floor_n == alike.n > (found["distinct_4"].floor_n or 0) > 0


def test_a_server_ends_a_text_where_the_document_ends(run, tmp_path):
    model = artifact.load(run)
    with serving(tmp_path / "serve", {"names": run}) as server:
        body = {"model": "names", "prompt": "", "seed": 5, "n": 4, "max_tokens": 5}
        whole = asked(server.url, body)["choices"]
        assert [one["text"] for one in whole] == [
            model.items.read(item) for item in model.sample(4, seed=5)
        ]
        assert "stop" in {one["finish_reason"] for one in whole}
        again = asked(server.url, {**body, "prompt": "ba", "max_tokens": 3})["choices"]
        assert all(len(one["text"]) <= 3 for one in again)


def test_a_talk_is_learned_and_answered_over_http(tmp_path):
    words = [f"{a}{b}" for a in "abcdef" for b in "uvwxyz"]
    rows = [{"prompt": word, "completion": word[::-1]} for word in words]
    (tmp_path / "talks.jsonl").write_text("\n".join(map(json.dumps, rows)) + "\n")
    recipe = {
        "data": {"source": str(tmp_path / "talks.jsonl"), "valid": 0.1, "test": 0.0},
        "model": {"use": "autoregressive", "net": SMALL, "learned": "answers"},
        "train": {"batch": 32, "threads": 1},
    }
    runs.train(recipe, out=tmp_path / "run", steps=300, quiet=True)
    with serving(tmp_path / "serve", {"talks": tmp_path / "run"}) as server:
        right = 0
        for word in words:
            messages = [{"role": "user", "content": word}]
            body = {"model": "talks", "messages": messages, "max_tokens": 3, "temperature": 0.0}
            (choice,) = asked(server.url, body, "chat/completions")["choices"]
            right += choice["message"]["content"] == word[::-1]
            assert choice["finish_reason"] in ("stop", "length")
        assert right > 28  # of 36, of which 4 are new to it
        body["messages"] = [{"role": "robot", "content": "ax"}]
        with pytest.raises(urllib.error.HTTPError) as refused:
            asked(server.url, body, "chat/completions")
        with refused.value as answer:
            assert answer.code == 400


def asked(url: str, body: dict, route: str = "completions") -> dict:
    request = urllib.request.Request(
        f"{url}/v1/{route}", json.dumps(body).encode(), {"content-type": "application/json"}
    )
    with urllib.request.urlopen(request, timeout=60) as answer:
        return json.load(answer)
