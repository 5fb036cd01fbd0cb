"""GGUF: llama.cpp writes the text that we write, and says what it cannot be made of."""

from __future__ import annotations

import pytest
import torch

from genloom import artifact
from genloom.errors import BadInput
from genloom.hub import gguf
from tests.unit.hub.tiny_checkpoints import KINDS, LLAMA3, write

pytest.importorskip("transformers")
pytest.importorskip("gguf")
pytestmark = pytest.mark.filterwarnings("ignore")
PROMPT = "how are you, what"
DRAWN = 12


def ours(found) -> str:
    """What the likeliest tokens say that go on from the prompt."""
    ids = found.items.lexicon.encode(PROMPT)
    tokens = torch.tensor([[found.codec.space.vocab, *ids]])
    for _ in range(DRAWN):
        with torch.no_grad():
            best = found.model.net(tokens, {})[0, -1].argmax()
        tokens = torch.cat([tokens, best.view(1, 1)], 1)
    return found.items.lexicon.decode(tokens[0, 1 + len(ids) :].tolist())


def theirs(path) -> str:
    """The same of llama.cpp."""
    xllamacpp = pytest.importorskip("xllamacpp")
    params = xllamacpp.CommonParams()
    params.model.path = str(path)
    params.n_ctx, params.n_parallel, params.cpuparams.n_threads = 64, 1, 1
    params.warmup, params.verbosity = False, -1
    asked = {"prompt": PROMPT, "temperature": 0, "n_predict": DRAWN, "ignore_eos": True}
    told = xllamacpp.Server(params).handle_completions(asked)
    assert told["usage"]["completion_tokens"] == DRAWN
    return told["choices"][0]["text"]


@pytest.mark.parametrize("kind", ["llama", "llama-biased", "qwen2", "qwen3"])
def test_llama_cpp_writes_the_same_greedy_text(kind, tmp_path):
    write(tmp_path / "model", kind)
    found = artifact.load(tmp_path / "model", device="cpu")
    (path,) = gguf.save(found, tmp_path / "model.gguf")
    assert theirs(path) == ours(found)
    assert [p.name for p in tmp_path.iterdir() if p.name.startswith(".")] == []


@pytest.mark.parametrize(("n", "name"), [("{1,3}", "llama-bpe"), ("", "qwen2"), ("+", None)])
def test_how_texts_are_divided_is_told_by_its_name(n, name):
    found = gguf._split(
        {
            "type": "Sequence",
            "pretokenizers": [
                {"type": "Split", "pattern": {"Regex": gguf._WORDS % n}, "behavior": "Isolated"},
                {"type": "ByteLevel", "use_regex": False},
            ],
        }
    )
    assert gguf.SPLITS.get(found) == name
    assert gguf._split({"type": "Whitespace"}) is None


def test_what_cannot_be_written_is_told(tmp_path):
    write(tmp_path / "model", "gpt2")
    found = artifact.load(tmp_path / "model", device="cpu")
    with pytest.raises(BadInput, match="must end in"):
        gguf.save(found, tmp_path / "model.bin")
    with pytest.raises(BadInput, match="with the net llama"):
        gguf.save(found, tmp_path / "model.gguf")
    assert not (tmp_path / "model.gguf").exists()


def test_scaled_turns_are_of_the_form_llama_alone(tmp_path, monkeypatch):
    monkeypatch.setitem(KINDS, "qwen3", ("Qwen3", {**KINDS["qwen3"][1], "rope_parameters": LLAMA3}))
    write(tmp_path / "model", "qwen3")
    found = artifact.load(tmp_path / "model", device="cpu")
    with pytest.raises(BadInput, match="qwen3 of GGUF has no scaled turns"):
        gguf.save(found, tmp_path / "model.gguf")
