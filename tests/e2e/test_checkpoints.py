"""A checkpoint of others: served as it is, tuned on talks, chatted with, and handed back."""

from __future__ import annotations

import json
import urllib.request

import pytest

from genloom import artifact, runs
from genloom.cli import main
from tests.e2e.server import serving
from tests.e2e.test_documents import asked
from tests.unit.hub.tiny_checkpoints import write

transformers = pytest.importorskip("transformers")
pytestmark = pytest.mark.filterwarnings("ignore")
WORDS = [f"{a}{b}" for a in "abcd" for b in "uvwx"]
FORMS = {"chatml": "qwen2", "plain": "gpt2"}


def reply(word: str) -> str:
    return "what" if word[0] in "ab" else "it is"


def talk(*words: str) -> list[dict[str, str]]:
    """Questions and their answers; the last one has none yet."""
    said = [part for word in words for part in (("user", word), ("assistant", reply(word)))]
    return [{"role": role, "content": text} for role, text in said][:-1]


@pytest.fixture(scope="module", params=FORMS)
def folder(request, tmp_path_factory):
    """With a checkpoint `base`, and a run on talks of two questions that began with it."""
    folder = tmp_path_factory.mktemp(request.param)
    write(folder / "base", FORMS[request.param], request.param)
    rows = [
        [*talk(a, b), {"role": "assistant", "content": reply(b)}]
        for i, a in enumerate(WORDS)
        for b in (WORDS[i - 1], WORDS[i - 5])
    ]
    text = "\n".join(json.dumps({"messages": row}) for row in rows)
    (folder / "talks.jsonl").write_text(text)
    base = str(folder / "base")
    recipe = {
        "data": {"source": str(folder / "talks.jsonl"), "tokenizer": base, "length": 64},
        "model": {"use": "autoregressive", "base": base, "learned": "answers"},
        "train": {"threads": 1, "lr": 1e-3, "save_every": 150},
    }
    runs.train(recipe, out=folder / "run", steps=150, quiet=True)
    return folder


@pytest.mark.slow
def test_a_tuned_checkpoint_answers_over_http_and_is_handed_back(folder, tmp_path, capsys):
    models = {"tuned": folder / "run", "base": folder / "base"}
    with serving(tmp_path / "serve", models) as server:
        for words in (("au",), ("dx",), ("au", "cv"), ("cv", "bw")):
            body = {"model": "tuned", "messages": talk(*words), "max_tokens": 16, "temperature": 0}
            (choice,) = asked(server.url, body, "chat/completions")["choices"]
            assert choice["message"]["content"] == reply(words[-1])
            assert choice["finish_reason"] == "stop"
            assert streamed(server.url, body) == reply(words[-1])
        plain = {"model": "base", "prompt": "how are", "max_tokens": 4, "seed": 1}
        (choice,) = asked(server.url, plain)["choices"]
        again = asked(server.url, plain)["choices"][0]["text"]
        assert choice["text"] == again and choice["finish_reason"] in ("stop", "length")
    assert main(["export", str(folder / "run"), "--out", str(tmp_path / "theirs"), "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["model"] == artifact.load(folder / "run").hash and len(told["files"]) == 4
    tokenizer = transformers.AutoTokenizer.from_pretrained(tmp_path / "theirs")
    model = transformers.AutoModelForCausalLM.from_pretrained(tmp_path / "theirs")
    given = tokenizer.apply_chat_template(
        talk("au", "cv"), add_generation_prompt=True, return_tensors="pt", return_dict=True
    )
    made = model.generate(**given, max_new_tokens=16, do_sample=False)
    text = tokenizer.decode(made[0, given["input_ids"].shape[1] :], skip_special_tokens=True)
    assert text.split("\nUser:")[0].strip() == reply("cv")


def streamed(url: str, body: dict) -> str:
    request = urllib.request.Request(
        f"{url}/v1/chat/completions",
        json.dumps({**body, "stream": True}).encode(),
        {"content-type": "application/json"},
    )
    with urllib.request.urlopen(request, timeout=60) as answer:
        lines = [line[6:] for line in answer.read().decode().splitlines() if line[:6] == "data: "]
    chunks = [json.loads(line) for line in lines if line != "[DONE]"]
    return "".join(chunk["choices"][0]["delta"].get("content") or "" for chunk in chunks)
