"""Checkpoints of others: the logits of transformers, read and written; talks; low-rank tuning."""

from __future__ import annotations

import copy
import json
from dataclasses import replace

import pytest
import torch

from genloom import artifact
from genloom import data as datasets
from genloom.cli import main
from genloom.core import Items
from genloom.errors import BadInput
from genloom.hub import causal
from genloom.lexicon import ROLES, Letters, Pieces, learn_pieces, lexicon_of, told_of
from genloom.models.autoregressive import answers
from genloom.recipe import model_of
from tests.unit.hub.tiny_checkpoints import KINDS, write

transformers = pytest.importorskip("transformers")
pytestmark = pytest.mark.filterwarnings("ignore")


def compared(model, found, length: int = 40):
    """Logits of transformers and ours, of the same random tokens after the start."""
    net, vocab = found.model.net, found.codec.space.vocab
    tokens = torch.randint(0, vocab, (3, length), generator=torch.Generator().manual_seed(1))
    tokens[tokens == found.items.end] = 0
    tokens[:, 0] = net.opener
    ours = tokens.clone()
    ours[:, 0] = vocab
    with torch.no_grad():
        return model(tokens).logits, net(ours, {})


@pytest.mark.parametrize("kind", KINDS)
def test_logits_are_those_of_transformers_read_and_written(kind, tmp_path):
    model = write(tmp_path / "theirs", kind)
    found = artifact.load(tmp_path / "theirs", device="cpu")  # the one verb for all models
    wanted, logits = compared(model, found)
    assert wanted.std() > 0.3
    torch.testing.assert_close(logits, wanted, atol=1e-4, rtol=0)
    causal.save(found, tmp_path / "ours")
    again = transformers.AutoModelForCausalLM.from_pretrained(tmp_path / "ours").eval()
    assert type(again) is type(model)
    torch.testing.assert_close(compared(again, found)[0], wanted, atol=1e-4, rtol=0)
    assert artifact.load(tmp_path / "ours", device="cpu").recipe["model"] == found.recipe["model"]


FORMS = {"chatml": "qwen2", "llama3": "llama", "zephyr": "llama-biased", "plain": "gpt2"}
TALK = [("system", "be kind"), ("user", "how <|im_end|></s>?"), ("assistant", " it is.")]


@pytest.fixture(scope="module", params=FORMS)
def talker(request, tmp_path_factory):
    """The folder of a checkpoint, and the form of its talks."""
    folder = tmp_path_factory.mktemp("talkers") / "theirs"
    write(folder, FORMS[request.param], request.param)
    return folder, request.param


def test_the_form_of_talks_is_known_by_special_tokens_and_no_text_spells_one(talker):
    folder, form = talker
    words = causal.lexicon(folder)
    assert words.form == form and words.end not in (*words.closing, *words.stops[0])
    ids = words.document(TALK)
    assert ids[-1] == words.end and ids.count(words.end) == 1
    special = set(words.special.values())
    assert not special & set(words.encode("how <|im_start|></s><|eot_id|><|endoftext|>?"))
    assert lexicon_of(json.loads(json.dumps(told_of(words)))) == words
    own = answers(torch.tensor([ids]), roles_of(words), ids[-1], closed=bool(words.closing))
    said = [i for i, one in zip(ids, own[0].tolist(), strict=True) if one]
    assert said == [*words.encode(" it is."), *words.closing, words.end]


def roles_of(words):
    return tuple(tuple(words.opening(role)) for role in words.roles)


def test_transformers_writes_a_talk_as_we_do(talker, tmp_path):
    folder, _ = talker
    found = artifact.load(folder, device="cpu")
    causal.save(found, tmp_path / "ours")
    assert causal.lexicon(tmp_path / "ours") == found.items.lexicon
    tokenizer = transformers.AutoTokenizer.from_pretrained(tmp_path / "ours")
    talk = [("user", "how are you"), ("assistant", "what?"), ("user", "it")]
    messages = [{"role": role, "content": text} for role, text in talk]
    words = found.items.lexicon
    ids = words.document(talk)[:-1]
    told = tokenizer.apply_chat_template(messages)["input_ids"]
    assert told == [found.model.net.opener, *ids]
    told = tokenizer.apply_chat_template(messages, add_generation_prompt=True)["input_ids"]
    assert told == [found.model.net.opener, *ids, *words.opening("assistant")]
    again = transformers.AutoModelForCausalLM.from_pretrained(tmp_path / "ours")
    ends = again.generation_config.eos_token_id
    assert {*words.closing[:1], words.end} == ({ends} if isinstance(ends, int) else set(ends))


def test_what_is_not_understood_is_refused_in_one_line(tmp_path):
    folder = tmp_path / "it"
    write(folder)
    config = json.loads((folder / "config.json").read_text())
    for change, message in (
        ({"hidden_act": "gelu"}, "hidden_act = 'gelu'"),
        ({"mlp_bias": True}, "mlp_bias = True"),
        ({"sliding_window": 8}, "sliding_window = 8"),
        ({"rope_parameters": {"rope_type": "yarn"}}, "rope_type = 'yarn'"),
        ({"intermediate_size": 50}, r"is \(32, 48\), its config.json says \(32, 50\)"),
        ({"num_hidden_layers": 1}, "layers.1.* a net of its form does not have"),
        ({"num_hidden_layers": 3}, "lacks 9 weights"),
        ({"vocab_size": 5}, "its vocab_size is 5"),
        ({"hidden_size": "wide"}, "width = 'wide' is not int"),
        ({"num_attention_heads": 0, "head_dim": None}, "config.json: integer division"),
        ({"num_hidden_layers": -1}, "layers = -1 is out of range"),
        ({"rope_parameters": {"rope_type": "llama3", "factor": 2}}, "does not say low_freq_factor"),
        ({"eos_token_id": None, "bos_token_id": None}, "no token that could close"),
    ):
        (folder / "config.json").write_text(json.dumps({**config, **change}))
        (folder / "tokenizer_config.json").unlink(missing_ok=True)
        (folder / "generation_config.json").unlink(missing_ok=True)
        with pytest.raises(BadInput, match=message):
            artifact.load(folder, device="cpu")
    (folder / "config.json").write_text(json.dumps({**config, "model_type": "t5"}))
    with pytest.raises(BadInput, match="there is no model"):
        artifact.load(folder, device="cpu")
    with pytest.raises(BadInput, match="'t5'; checkpoints of llama"):
        causal.recipe(folder)
    (folder / "config.json").write_text(json.dumps(config))
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")
    with pytest.raises(BadInput, match="safetensors alone"):
        artifact.load(folder, device="cpu")


def test_weights_may_lie_in_several_files_and_in_half_precision(tmp_path):
    model = write(tmp_path / "one", "gpt2")
    half = copy.deepcopy(model).to(torch.bfloat16)
    (tmp_path / "many").mkdir()
    for name in ("tokenizer.json", "tokenizer_config.json"):
        (tmp_path / "many" / name).write_bytes((tmp_path / "one" / name).read_bytes())
    half.save_pretrained(tmp_path / "many", max_shard_size="20KB")
    assert len(list((tmp_path / "many").glob("*.safetensors"))) > 2
    found = artifact.load(tmp_path / "many", device="cpu")
    wanted, logits = compared(half.float(), found)
    torch.testing.assert_close(logits, wanted, atol=1e-4, rtol=0)
    index = tmp_path / "many" / "model.safetensors.index.json"
    index.write_text(json.dumps({"weight_map": {"wte.weight": "../one/model.safetensors"}}))
    with pytest.raises(BadInput, match=r"holds no \.\./one"):
        artifact.load(tmp_path / "many", device="cpu")


def test_a_model_of_our_own_pieces_is_one_of_transformers(tmp_path):
    pieces = Pieces(learn_pieces(["how are you"] * 9, 260), marks=(*ROLES, "end"))
    items = Items("text", (24,), lexicon=pieces)
    net = {"use": "llama", "width": 32, "layers": 2, "heads": 2, "kv_heads": 1}
    made = {"codec": {"use": "text"}, "model": {"use": "autoregressive", "net": net}}
    codec, model = model_of(made, items)
    artifact.save(tmp_path / "model", model=model, recipe=made, items=items, codec=codec)
    found = artifact.load(tmp_path / "model", device="cpu")
    causal.save(found, tmp_path / "theirs")
    theirs = transformers.AutoModelForCausalLM.from_pretrained(tmp_path / "theirs").eval()
    wanted, logits = compared(theirs, found, 24)
    torch.testing.assert_close(logits, wanted, atol=1e-4, rtol=0)
    again = artifact.load(tmp_path / "theirs", device="cpu").items.lexicon
    assert again.form == "marks" and again.document(TALK) == pieces.document(TALK)
    letters = replace(found, items=Items("text", (24,), lexicon=Letters("ab")))
    with pytest.raises(BadInput, match="letters are no tokenizer of transformers"):
        causal.save(letters, tmp_path / "letters")
    with pytest.raises(BadInput, match="is not empty"):
        causal.save(found, tmp_path / "theirs")
    other = replace(found, recipe={"model": {**made["model"], "net": {"use": "transformer"}}})
    with pytest.raises(BadInput, match=r"llama or gpt2.*model\.net\.use=llama"):
        causal.save(other, tmp_path / "other")


def test_a_checkpoint_is_sampled_and_judged_by_data_that_are_named(tmp_path, capsys):
    folder, data = tmp_path / "it", tmp_path / "names.txt"
    write(folder, "gpt2")
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    assert main(["sample", str(folder), "-n", "2", "--out", str(tmp_path / "said")]) == 0
    data.write_text("\n".join(f"{a}{b}n{c}" for a in "abcdefgh" for b in "aeiou" for c in "aeik"))
    judge = ["evaluate", str(folder), "--data", str(data), "--set", "data.document=line"]
    assert main([*judge, "--set", "data.test=0.4", "--force"]) == 2  # no --out
    capsys.readouterr()
    judge += ["--set", "data.test=0.4", "--force", "-n", "40", "--json"]
    assert main([*judge, "--out", str(tmp_path / "judged")]) == 20
    verdict = json.loads(capsys.readouterr().out)
    (bits,) = (one for one in verdict["estimates"] if one["name"] == "bits_per_char")
    assert bits["value"] > bits["trivial"]  # it has learned nothing
    assert (tmp_path / "judged" / "report.html").is_file()
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before


def test_documents_are_read_as_the_checkpoint_of_a_folder_reads(tmp_path):
    write(tmp_path / "it", "qwen2", "chatml")
    rows = [{"prompt": f"how {i}", "completion": f"{i}"} for i in range(9)]
    (tmp_path / "a.jsonl").write_text("\n".join(map(json.dumps, rows)))
    opened = {"tokenizer": str(tmp_path / "it"), "valid": 0, "test": 0}
    found = datasets.open_dataset(tmp_path / "a.jsonl", **opened)
    words = causal.lexicon(tmp_path / "it")
    assert found.items.lexicon == words
    said = {found.items.read(item) for item in found.train.items}
    talk = "<|im_start|>user\nhow 3<|im_end|>\n<|im_start|>assistant\n3<|im_end|>\n"
    assert talk in said
    plain = datasets.open_dataset(tmp_path / "a.jsonl", **opened, talks="plain")
    said = {plain.items.read(item) for item in plain.train.items}
    assert "\nUser:\nhow 3\nAssistant:\n3" in said and plain.fingerprint != found.fingerprint
    for options, message in (
        ({**opened, "talks": "zephyr"}, "has no </s>, which the form zephyr needs"),
        ({**opened, "talks": "chatmi"}, "did you mean 'chatml'"),
        ({**opened, "tokenizer": "bytes", "talks": "plain"}, "is a form for checkpoints"),
    ):
        with pytest.raises(BadInput, match=message):
            datasets.open_dataset(tmp_path / "a.jsonl", **options)
    config = tmp_path / "it" / "config.json"
    config.write_text(config.read_text().replace('"model_type": "qwen2"', '"model_type": "bert"'))
    plain = datasets.open_dataset(tmp_path / "a.jsonl", **opened)  # any other tokenizer.json
    assert plain.items.lexicon == Pieces(words.rules, marks=(*ROLES, "end"))
    assert plain.fingerprint != found.fingerprint
