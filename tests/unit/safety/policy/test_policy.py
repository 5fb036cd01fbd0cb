"""Policies: files are validated, the strictest verdict wins, and what fails refuses."""

from __future__ import annotations

import json
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest
import torch
from openai.types import Moderation

from genloom.data import open_dataset
from genloom.errors import BadInput
from genloom.safety.policy import Counters, Decision, Outcome, Policy, Verdict
from genloom.safety.policy.guard import LEFT_BEHIND, Guarded
from genloom.safety.policy.moderation import CATEGORIES, result
from genloom.safety.policy.nearness import index, save
from genloom.safety.policy.verdict import ALLOWED

TOML = """
longest = 500
[[input]]
use = "words"
name = "threats"
words = ["bomb"]
category = "violence"
[[input]]
use = "personal"
kinds = ["email"]
[[input]]
use = "length"
most = 100
verdict = "refuse"
[[output]]
use = "words"
name = "captions"
words = ["bomb"]
[[output]]
use = "nearness"
index = "digits.index"
models = ["digits"]
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    path = tmp_path_factory.mktemp("policy")
    save(path / "digits.index", index(open_dataset("digits")), "image")
    (path / "policy.toml").write_text(TOML)
    return path


@pytest.fixture
def policy(folder):
    return Policy.read(folder / "policy.toml")


class Saying:
    """A filter that does what it is told."""

    reads = ("text",)
    category = "test"

    def __init__(self, act):
        self.act = act

    def check(self, batch):
        return self.act(batch)


def guarded(act, *, timeout_s=5.0) -> Guarded:
    return Guarded("it", Saying(act), timeout_s, Counters())


def test_the_strictest_verdict_wins(policy):
    assert policy.inputs("hello").verdict is Verdict.ALLOW
    assert policy.inputs("mail a@b.co").verdict is Verdict.FLAG
    assert policy.inputs("mail a@b.co " + "x" * 100).verdict is Verdict.REFUSE
    decision = policy.inputs("mail a@b.co a b0mb " + "x" * 100)
    assert decision.verdict is Verdict.REFUSE and not decision.passes
    assert [o.filter for o in decision.findings] == ["threats", "length", "personal"]
    assert len(decision.outcomes) == 3


@pytest.mark.parametrize("order", [(0, 1, 2, 3), (3, 2, 1, 0), (1, 3, 0, 2)])
def test_the_order_of_filters_does_not_matter(order):
    outcomes = tuple(Outcome(list(Verdict)[i]) for i in order)
    assert Decision(outcomes).verdict is Verdict.REFUSE
    assert Decision().verdict is Verdict.ALLOW and Decision().passes
    assert Decision((Outcome(Verdict.FLAG),)).passes
    assert not Decision((Outcome(Verdict.HOLD),)).passes


def test_a_text_that_is_too_long_is_refused_unseen(policy):
    decision = policy.inputs("x" * 501)
    assert decision.verdict is Verdict.REFUSE
    assert [o.filter for o in decision.outcomes] == ["longest"]
    assert policy.counters.snapshot() == {("longest", "refuse"): 1}


def test_outputs_are_judged_one_by_one_and_by_model(policy):
    train = open_dataset("digits").train.items[:1]
    fresh = torch.randint(256, (1, 1, 8, 8), dtype=torch.uint8)
    items = torch.cat((fresh, train))
    found = policy.outputs(items, ["a digit", "another"], model="digits")
    assert [d.verdict for d in found] == [Verdict.ALLOW, Verdict.REFUSE]
    assert [len(d.outcomes) for d in found] == [2, 2]
    assert policy.outputs(items, model="other")[1].outcomes == ()
    assert policy.outputs(items, ["a bomb", "no"], model="other")[0].verdict is Verdict.REFUSE
    assert policy.outputs(["a bomb", "no"])[0].verdict is Verdict.REFUSE
    assert policy.outputs(torch.zeros(2, 2), model="other")[0].verdict is Verdict.ALLOW
    assert policy.outputs([]) == [] and policy.models == {"digits"}


def test_an_index_looks_away_from_models_of_other_items_only_where_it_names_none(folder):
    digits, moons = open_dataset("digits").items, open_dataset("moons").items
    models = {"digits": digits, "large": replace(digits, shape=(1, 9, 9)), "moons": moons}
    large = torch.zeros(1, 1, 9, 9, dtype=torch.uint8)

    (folder / "all.toml").write_text(TOML.replace('models = ["digits"]', ""))
    policy = Policy.read(folder / "all.toml")
    (line,) = policy.fit(models)
    assert line.endswith("of image items (1, 8, 8), does not look at large, moons.")
    assert policy.outputs(large, model="large")[0].verdict is Verdict.ALLOW
    assert not policy.judges("image", "large") and policy.judges("image", "digits")
    assert policy.outputs(large)[0].verdict is Verdict.REFUSE  # of a model that nobody has named
    assert policy.fit({"digits": digits}) == []
    assert policy.outputs(large, model="large")[0].verdict is Verdict.REFUSE

    named = Policy.read(folder / "policy.toml")
    assert named.fit(models) == []
    for name in ("large", "moons"):
        with pytest.raises(BadInput, match=r"'nearness', of image items \(1, 8, 8\), is not"):
            named.fit({"digits": models[name]})


def test_items_that_an_index_does_not_know_are_refused(policy):
    (decision,) = policy.outputs(torch.zeros(1, 1, 9, 9, dtype=torch.uint8), model="digits")
    assert decision.verdict is Verdict.REFUSE and decision.findings[0].reason == "filter failed"
    assert policy.counters.snapshot()["nearness", "failed"] == 1


@pytest.mark.parametrize(
    "items", [torch.zeros(2, 3, 4), torch.zeros(2, 3, dtype=torch.int64), [1, 2]]
)
def test_items_of_no_kind_are_an_error(policy, items):
    with pytest.raises(BadInput, match=r"tensor|neither"):
        policy.outputs(items)
    with pytest.raises(BadInput, match="1 texts for 2 items"):
        policy.outputs(["a", "b"], ["a"])


def _raise(_):
    raise MemoryError("secret\nin the message")


@pytest.mark.parametrize(
    "act",
    [
        _raise,
        lambda batch: (_ for _ in ()).throw(SystemExit()),
        lambda batch: None,
        lambda batch: [],
        lambda batch: [ALLOWED] * (len(batch) + 1),
        lambda batch: (ALLOWED,),
        lambda batch: [True],
        lambda batch: ["allow"],
        lambda batch: [Outcome("allow")],
        lambda batch: [Outcome(Verdict.ALLOW, score=float("nan"))],
        lambda batch: [Outcome(Verdict.ALLOW, score=2)],
        lambda batch: [Outcome(Verdict.ALLOW, score="sure")],
        lambda batch: [Outcome(Verdict.ALLOW, reason=None)],
    ],
)
def test_a_filter_that_fails_or_talks_nonsense_refuses(act):
    it = guarded(act)
    (outcome,) = it.check(["text"], "text")
    assert (outcome.verdict, outcome.reason, outcome.filter) == (
        Verdict.REFUSE, "filter failed", "it"
    )  # fmt: skip
    assert it.counters.snapshot() == {("it", "failed"): 1, ("it", "refuse"): 1}


def test_a_filter_that_is_late_refuses_and_one_that_never_ends_is_not_asked_again():
    release = threading.Event()
    calls = []

    def wait(batch):
        calls.append(1)
        release.wait(20)
        return [ALLOWED]

    it = guarded(wait, timeout_s=0.05)
    start = time.monotonic()
    for _ in range(LEFT_BEHIND + 3):
        assert it.check(["text"], "text")[0].reason == "filter failed"
    assert time.monotonic() - start < 5
    assert len(calls) == LEFT_BEHIND
    release.set()
    for thread in it._late:
        thread.join(5)
    assert it.check(["text"], "text")[0].verdict is Verdict.ALLOW
    assert it.counters.snapshot()["it", "failed"] == LEFT_BEHIND + 3


def test_a_catastrophic_pattern_of_a_policy_refuses(tmp_path):
    (tmp_path / "p.toml").write_text(
        '[[input]]\nuse = "words"\npatterns = ["(a|a)*b"]\npattern_limit_s = 0.2\n'
    )
    policy = Policy.read(tmp_path / "p.toml")
    assert policy.inputs("c").verdict is Verdict.ALLOW
    assert policy.inputs("a" * 60).findings[0].reason == "filter failed"
    assert policy.inputs("c").verdict is Verdict.ALLOW
    policy.close()


def test_counts_are_right_from_many_threads():
    it = guarded(lambda batch: [ALLOWED if t == "a" else Outcome(Verdict.FLAG) for t in batch])
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda _: it.check(["a", "b", "b"], "text"), range(200)))
    assert it.counters.snapshot() == {("it", "allow"): 200, ("it", "flag"): 400}


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("longest", "longst", "no key 'longst'; did you mean 'longest'"),
        ("longest = 500", "longest = 0", "longest = 0"),
        ("longest = 500", "timeout_s = 0", "timeout_s = 0"),
        ('use = "personal"', 'use = "persnal"', "input filter 2: .*'persnal'; did you mean 'pers"),
        ('use = "personal"', "", "input filter 2: it lacks `use`"),
        ("kinds = ", "kindz = ", "input filter 2: .*no option 'kindz'; did you mean 'kinds'"),
        ('kinds = ["email"]', 'kinds = "email"', "input filter 2: kinds = 'email' is not list"),
        ("most = 100", "", "input filter 3: most is missing"),
        ("most = 100", "most = -1", "most = -1 is out of range"),
        ("most = 100", "most = true", "most = True is not int"),
        ('verdict = "refuse"', 'verdict = "hald"', "'hald' is unknown; did you mean 'hold'"),
        ('verdict = "refuse"', 'verdict = "allow"', "'allow' is unknown"),
        ('verdict = "refuse"', 'verdict = "hold"', "input filter 3: .* flagged or refused only"),
        ('name = "captions"', 'name = "threats"', "two filters are called 'threats'"),
        ('"digits.index"', '"absent"', "output filter 2: there is no file"),
        ('models = ["digits"]', "models = [1]", "models holds 1"),
        ('models = ["digits"]', 'models = "digits"', "a list"),
        ("[[output]]", "[[input]]", "nearness reads image; inputs are texts"),
        ("[[input]]", "[input]", "TOML|not a list"),
        ("longest = 500", "longest = ", "is not TOML"),
    ],
)
def test_errors_of_a_policy_file_say_where_and_what(folder, old, new, message):
    path = folder / "wrong.toml"
    path.write_text(TOML.replace(old, new))
    with pytest.raises(BadInput, match=message):
        Policy.read(path)


def test_an_absent_policy_is_an_error_and_an_empty_one_allows(tmp_path):
    with pytest.raises(BadInput, match="cannot be read: No such file"):
        Policy.read(tmp_path / "absent.toml")
    (tmp_path / "empty.toml").write_text("")
    assert Policy.read(tmp_path / "empty.toml").inputs("anything").verdict is Verdict.ALLOW


def test_moderation_has_the_shape_of_the_openai_client(policy):
    found = result(policy.inputs("a bomb for a@b.co"))
    parsed = Moderation.model_validate(found)
    assert parsed.flagged and parsed.categories.violence and parsed.category_scores.violence == 1
    assert parsed.category_applied_input_types.violence == ["text"]
    assert not parsed.categories.hate and parsed.category_scores.hate == 0
    assert parsed.category_applied_input_types.hate == []
    aliases = {f.alias or name for name, f in type(parsed.categories).model_fields.items()}
    assert set(CATEGORIES) == aliases
    own = set(found["categories"]) - set(CATEGORIES)
    assert own == {"genloom/personal", "genloom/length"}
    assert found["categories"]["genloom/personal"] and not found["categories"]["genloom/length"]
    assert set(found["category_scores"]) == set(found["category_applied_input_types"])


def test_moderation_is_flagged_exactly_where_a_category_is(policy):
    two = (
        Outcome(Verdict.FLAG, "", 0.9, (), "x", "hate", "text"),
        Outcome(Verdict.ALLOW, "", 0.2, (), "y", "hate", "image"),
    )
    both = result(Decision(two))
    assert both["categories"]["hate"] and both["category_scores"]["hate"] == 0.9
    assert both["category_applied_input_types"]["hate"] == ["text", "image"]
    clean = result(policy.inputs("hello"))
    assert not clean["flagged"] and not any(clean["categories"].values())
    failed = Decision((Outcome(Verdict.REFUSE, "filter failed", 0.0, (), "x", "hate", "text"),))
    found = result(failed)
    assert (
        found["flagged"] and found["categories"]["hate"] and found["category_scores"]["hate"] == 0
    )


HOSTILE = "'\"`;|&$(id){{7*7}}${x}<script>%s\n\r\0../../bomb \u202e\ud800"


def test_a_hostile_text_is_data_everywhere(policy, caplog):
    decision = policy.inputs(HOSTILE)
    told = json.dumps([decision.as_dict(), result(decision)])
    assert decision.verdict is Verdict.REFUSE
    for piece in ("7*7", "script", "bomb", "(id)"):
        assert piece not in told
    it = guarded(lambda batch: [][batch[0]])
    it.check([HOSTILE], "text")
    broken = Guarded("it", Saying(_raise), 5.0, Counters())
    broken.check([HOSTILE], "text")
    assert "secret\\n" in caplog.text.replace("\\\\", "\\") and "secret\nin" not in caplog.text
