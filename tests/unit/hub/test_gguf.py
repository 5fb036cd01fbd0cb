"""GGUF: llama.cpp writes the text that we write, and says what it cannot be made of."""

from __future__ import annotations

import json

import pytest
import torch

from genloom import artifact
from genloom.core import Items
from genloom.errors import BadInput
from genloom.hub import causal_text, gguf
from genloom.lexicon import HOLE, ROLES, Pieces, learn_pieces
from genloom.recipe import model_of
from tests.unit.hub.tiny_checkpoints import KINDS, LLAMA3, write

pytest.importorskip("transformers")
GGUFReader = pytest.importorskip("gguf").GGUFReader
pytestmark = pytest.mark.filterwarnings("ignore")
PROMPT = "how are you, what"
DRAWN = 12
SAID = {"chatml": "<|im_end|>", "llama3": "<|eot_id|>", "zephyr": "</s>", "marks": "<|user|>"}


def ours(found) -> str:
    """What the likeliest tokens say that go on from the prompt."""
    ids = found.items.lexicon.encode(PROMPT)
    tokens = torch.tensor([[found.codec.space.vocab, *ids]])
    for _ in range(DRAWN):
        with torch.no_grad():
            best = found.model.net(tokens, {})[0, -1].argmax()
        tokens = torch.cat([tokens, best.view(1, 1)], 1)
    return found.items.lexicon.decode(tokens[0, 1 + len(ids) :].tolist())


def served(path):
    """What llama.cpp serves of a file."""
    xllamacpp = pytest.importorskip("xllamacpp")
    params = xllamacpp.CommonParams()
    params.model.path = str(path)
    params.n_ctx, params.n_parallel, params.cpuparams.n_threads = 64, 1, 1
    params.warmup, params.verbosity = False, -1
    return xllamacpp.Server(params)


def theirs(path) -> str:
    """What the likeliest tokens say that llama.cpp draws."""
    asked = {"prompt": PROMPT, "temperature": 0, "n_predict": DRAWN, "ignore_eos": True}
    told = served(path).handle_completions(asked)
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


def ours_of(words, folder):
    """A model of our own, with weights of some size."""
    items = Items("text", (64,), lexicon=words)
    net = {"use": "llama", "width": 32, "layers": 2, "heads": 2}
    made = {"codec": {"use": "text"}, "model": {"use": "autoregressive", "net": net}}
    codec, model = model_of(made, items)
    torch.manual_seed(0)
    for p in model.parameters():
        torch.nn.init.normal_(p, 1.0 if p.ndim == 1 else 0.0, 0.2)
    artifact.save(folder, model=model, recipe=made, items=items, codec=codec)
    return artifact.load(folder, device="cpu")


def talking(form: str, folder):
    """A checkpoint whose talks have a form; "marks" is a model of our own."""
    if form == "marks":
        rules = learn_pieces(["how are you, what is it? " * 20], 280)
        return ours_of(Pieces(rules, marks=(*ROLES, "end")), folder)
    write(folder, "llama", form)
    return artifact.load(folder, device="cpu")


def answer(found, said: str) -> list[int]:
    """The likeliest tokens that answer a user, without an end."""
    words = found.items.lexicon
    known = [*words.opening("user"), *words.encode(said), *words.closing]
    tokens = torch.tensor([[found.codec.space.vocab, *known, *words.opening("assistant")]])
    start = tokens.shape[1]
    for _ in range(DRAWN):
        with torch.no_grad():
            best = found.model.net(tokens, {})[0, -1].argmax()
        tokens = torch.cat([tokens, best.view(1, 1)], 1)
    return tokens[0, start:].tolist()


@pytest.mark.parametrize(("form", "token"), [*SAID.items()])
def test_a_talk_is_written_and_its_answer_ends_in_llama_cpp(form, token, tmp_path):
    found = talking(form, tmp_path / "model")
    words, said = found.items.lexicon, answer(talking(form, tmp_path / "again"), PROMPT)
    drawn = next(i for i in said[3:] if i not in said[:3])  # becomes what ends an answer
    ends = causal_text.turn_end(words)
    with torch.no_grad():
        weight = found.model.net.head.weight
        weight[[drawn, ends]] = weight[[ends, drawn]]
    (path,) = gguf.save(found, tmp_path / "model.gguf")
    fields = GGUFReader(path).fields
    pieces, template, eot, eos = (
        fields[f"tokenizer.{name}"].contents()
        for name in ("ggml.tokens", "chat_template", "ggml.eot_token_id", "ggml.eos_token_id")
    )
    assert pieces[eot] == token and eot == ends and eos == words.end != ends
    files = causal_text.written(words, found.model.net.opener)
    assert template == json.loads(files["tokenizer_config.json"])["chat_template"]
    asked = {"messages": [{"role": "user", "content": PROMPT}], "temperature": 0}
    reply = served(path).handle_chat_completions({**asked, "max_tokens": DRAWN})
    (choice,) = reply["choices"]
    assert choice["finish_reason"] == "stop"
    shown = words.decode(said[: said.index(drawn)]).rstrip(HOLE)  # half a letter is not sent
    assert shown and choice["message"]["content"].rstrip(HOLE) == shown


def test_a_running_text_has_no_talks_and_none_of_its_pieces_ends_it(tmp_path):
    found = ours_of(Pieces(learn_pieces(["how are you, what is it? " * 20], 280)), tmp_path / "own")
    words = found.items.lexicon
    assert found.model.net.opener == 0 and words.decode([0]) == "!"
    (path,) = gguf.save(found, tmp_path / "x.gguf")
    fields = GGUFReader(path).fields
    assert not set(fields) & {"tokenizer.chat_template", "tokenizer.ggml.eot_token_id"}
    eos = fields["tokenizer.ggml.eos_token_id"].contents()
    assert json.loads(words.rules)["model"]["vocab"]["\u00ff"] == eos
    files = causal_text.written(words, found.model.net.opener)
    told = json.loads(files["tokenizer_config.json"])
    assert told["bos_token"] is told["eos_token"] is None and "chat_template" not in told
    assert theirs(path) == ours(found)


def test_plain_text_that_ends_an_answer_is_no_token(tmp_path):
    assert causal_text.turn_end(talking("plain", tmp_path / "theirs").items.lexicon) is None


def test_what_cannot_be_written_is_told(tmp_path):
    write(tmp_path / "model", "gpt2")
    found = artifact.load(tmp_path / "model", device="cpu")
    with pytest.raises(BadInput, match="must end in"):
        gguf.save(found, tmp_path / "model.bin")
    with pytest.raises(BadInput, match=r"net llama: train with model\.net\.use=llama"):
        gguf.save(found, tmp_path / "model.gguf")
    assert not (tmp_path / "model.gguf").exists()


def test_scaled_turns_are_of_the_form_llama_alone(tmp_path, monkeypatch):
    monkeypatch.setitem(KINDS, "qwen3", ("Qwen3", {**KINDS["qwen3"][1], "rope_parameters": LLAMA3}))
    write(tmp_path / "model", "qwen3")
    found = artifact.load(tmp_path / "model", device="cpu")
    with pytest.raises(BadInput, match="qwen3 of GGUF has no scaled turns"):
        gguf.save(found, tmp_path / "model.gguf")
