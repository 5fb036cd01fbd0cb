"""What the server made is made again from its record alone, and any change is noticed."""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace
from hashlib import sha256

import pytest

from genloom.cli import main
from genloom.errors import BadInput
from genloom.safety.policy import Policy, Verdict
from genloom.safety.policy.guard import Guarded
from genloom.safety.policy.verdict import Counters, Outcome
from genloom.serve.asked import Asked
from genloom.serve.engine.pool import Pool
from genloom.serve.figures import Figures
from genloom.serve.gate import Gate, Rules
from genloom.serve.guard import LOCAL
from genloom.serve.judged import Verdicts
from genloom.serve.known import learn
from genloom.serve.making import Maker
from genloom.serve.problems import Problem
from genloom.serve.reproduce import (
    CONTENT,
    NOTE,
    WHOLE,
    CannotReproduce,
    compare,
    folder_of,
    note_models,
    remake,
)
from genloom.serve.store import Blobs, Keys, QuotaSpent, Records, Store
from tests.e2e.server import make_models

REQUESTS = {
    "picture": {"name": "digits", "form": "png", "label": 3, "options": {"steps": 2}},
    "jpeg": {"name": "digits", "form": "jpeg", "size": (40, 30), "quality": 40},
    "drawn": {"name": "codes", "form": "webp", "seeds": (2**40,)},
    "text": {"name": "words", "form": "txt", "prompt": (3, 1, 4), "told": "the"},
    "short": {"name": "words", "form": "txt", "prompt": (3,), "most": 5},
    "stopped": {"name": "words", "form": "txt", "stops": ("e", "th"), "logit_bias": ((2, -1.5),)},
    "of a form": {"name": "words", "form": "txt", "grammar": ("regex", "[a-z ]{3,9}"), "most": 9},
    "walk": {"name": "moons", "form": "csv", "toward": 40, "mix": (0.0, 0.5, 1.0)},
    "code": {"name": "codes", "form": "png", "label": 2, "latent": ((0.5, 0.0, -1.0, 2.0),) * 3},
    "points": {"name": "moons", "form": "json"},
}
MARKED = ("picture", "code")  # PNG: see `marking`


@pytest.fixture(scope="module")
def known(tmp_path_factory, cache):
    models = make_models(tmp_path_factory.mktemp("models"))
    return {name: learn(name, folder) for name, folder in models.items()}


def asked(known, form, name, **more):
    return Asked(known=known[name], form=form, **{"seeds": (7, 8, 9), **more})


def marking(content, media_type, told):
    """Marks that differ each time, as signatures do."""
    marking.count += 1
    return content if media_type != "image/png" else content + b"%d" % marking.count


marking.count = 0


class Made:
    """A server's folder with one record of each request, and a pool to make them again."""

    def __init__(self, folder, known, runner, pool):
        self.folder, self.known, self.runner, self.pool = folder, known, runner, pool
        self.store = Store(folder / "genloom.sqlite")
        self.records = Records(self.store, Blobs(folder / "blobs"))
        gate = Gate(None, Verdicts(folder / "verdicts"))
        self.made = {
            what: self.make(gate, asked(known, **words)) for what, words in REQUESTS.items()
        }
        note_models(folder, known.values())

    def make(self, gate, wanted, caller=LOCAL, policy=None):
        """The outputs of a request."""
        maker = Maker(
            self.pool, Keys(self.store, bytes(32)), self.records, policy, marking, gate, Figures()
        )

        async def work():
            return [event async for event in maker.make(caller, wanted)][-1].outputs

        return self.runner.run(work())

    def again(self, record):
        known = next(one for one in self.known.values() if one.hash == record.origin.model)
        return self.runner.run(remake(self.pool, known, record))


@pytest.fixture(scope="module")
def server(tmp_path_factory, known):
    pool = Pool({name: one.folder for name, one in known.items()}, workers=1, threads=1)
    with asyncio.Runner() as runner:
        runner.run(pool.__aenter__())
        try:
            made = Made(tmp_path_factory.mktemp("server"), known, runner, pool)
            yield made
            made.store.close()
        finally:
            runner.run(pool.__aexit__(None, None, None))


@pytest.mark.parametrize("what", REQUESTS)
def test_a_request_comes_back_from_its_record(server, known, what):
    for output in server.made[what]:
        again = Asked.of_record(
            known[REQUESTS[what]["name"]], server.records.look(output.record.id).origin
        )
        wanted = asked(known, **REQUESTS[what])
        row = output.seed - wanted.seeds[0]
        label = None if output.label is None else int(output.label)
        wanted = replace(
            wanted,
            mix=wanted.mix[row : row + 1],
            latent=None if wanted.latent is None else wanted.latent[row : row + 1],
        )
        assert again == replace(wanted, seeds=(output.seed,), label=label, told="")


def test_a_record_of_another_model_or_another_version_is_refused(server, known):
    origin = server.made["picture"][0].record.origin
    with pytest.raises(BadInput, match="is of model"):
        Asked.of_record(known["codes"], origin)
    for options, said in (
        ({**origin.options, "warp": 1}, "tells warp"),
        ({"sampling": {}}, "not tell the form"),
    ):
        with pytest.raises(BadInput, match=said):
            Asked.of_record(known["digits"], replace(origin, options=options))


@pytest.mark.parametrize("what", REQUESTS)
def test_the_same_bytes_are_made_again(server, what):
    output = server.made[what][-1]
    found = server.again(output.record)
    assert found.same
    assert found.compared == (CONTENT if what in MARKED else WHOLE)
    assert sha256(found.content).hexdigest() == found.sha256 == found.recorded
    if what not in MARKED:
        assert found.content == server.records.stored(output.record)


def test_another_seed_is_noticed(server):
    for what in ("picture", "points"):
        record = server.made[what][0].record
        moved = replace(record, origin=replace(record.origin, seed=record.origin.seed + 1))
        assert not server.again(moved).same


def test_marks_that_do_not_change_are_compared_with_the_file(server):
    record = server.made["picture"][0].record
    content = server.records.stored(record)
    plain = content[:-1]
    assert sha256(plain).hexdigest() == record.plain_sha256
    assert (compare(record, plain, content).compared, compare(record, plain, content).same) == (
        WHOLE,
        True,
    )
    assert compare(record, plain, plain + b"?").compared == CONTENT
    assert not compare(record, plain + b"x", plain + b"?").same
    older = replace(record, plain_sha256=None)
    assert (compare(older, plain, plain).compared, compare(older, plain, plain).same) == (
        WHOLE,
        False,
    )


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("genloom", "0.0"),
        ("torch", "1"),
        ("threads", "7"),
        ("watermark", "tokens"),
        ("int8", "weights"),
    ],
)
def test_other_software_is_a_reason_and_no_difference(server, name, value):
    record = server.made["points"][0].record
    software = {**record.origin.software, name: value}
    with pytest.raises(CannotReproduce, match=f"made with {name} {value}, and here"):
        server.again(replace(record, origin=replace(record.origin, software=software)))


def test_the_folder_of_the_weights_is_remembered(server, known, tmp_path):
    digits = known["digits"]
    assert folder_of(server.folder, digits.hash) == digits.folder
    note_models(tmp_path, [known["codes"]])
    note_models(tmp_path, [digits])
    assert len(json.loads((tmp_path / NOTE).read_text())) == 2
    moved = {digits.hash: {"folder": str(known["codes"].folder)}}
    (tmp_path / NOTE).write_text(json.dumps(moved))
    with pytest.raises(CannotReproduce, match="--model RUN"):
        folder_of(tmp_path, digits.hash)
    run = tmp_path / "runs" / "new"
    run.mkdir(parents=True)
    (run / "model").symlink_to(digits.folder)
    assert folder_of(tmp_path, digits.hash) == run / "model"


def test_a_gate_stands_before_the_making_and_is_recorded(server, known, tmp_path):
    closed = Gate(Rules(True, {}, {}), Verdicts(tmp_path), frozenset(["moons"]))

    before = len(server.records.page(LOCAL.id, limit=1000).items)
    with pytest.raises(Problem, match="has not passed"):
        server.make(closed, asked(known, "png", "digits"))
    outputs = server.make(closed, asked(known, "json", "moons"))
    assert [output.record.gate for output in outputs] == ["overridden"] * 3
    assert len(server.records.page(LOCAL.id, limit=1000).items) == before + 3
    assert server.made["points"][0].record.gate == "none"


class Turns:
    """A filter that holds the first item, refuses the second and allows all others."""

    reads, category = ("points",), "turn"

    def check(self, batch):
        told = [Outcome(Verdict.HOLD, "first"), Outcome(Verdict.REFUSE, "second")]
        return [*told, *[Outcome(Verdict.ALLOW)] * len(batch)][: len(batch)]


def test_what_is_refused_is_not_recorded_and_what_is_held_is_not_given_out(server, known):
    counters = Counters()
    policy = Policy(outputs_by=(Guarded("turns", Turns(), 60.0, counters),), counters=counters)
    opened = Gate(None, Verdicts(server.folder))
    held, refused, free = server.make(opened, asked(known, "json", "moons"), policy=policy)
    assert [one.state for one in (held, refused, free)] == ["held", "refused", "free"]
    assert [one.seed for one in (held, refused, free)] == [7, 8, 9]
    assert (refused.record, refused.content, refused.why) == (None, b"", "second")
    assert (held.content, held.why, held.record.held_for) == (b"", "first", "first")
    assert server.records.review(held.record.id) == (
        held.record,
        server.records.stored(held.record),
    )
    assert json.loads(free.content)["record"]["seed"] == "9"
    newest = server.records.page(LOCAL.id, limit=2).items
    assert newest == [free.record, held.record]


def test_a_key_with_limits_is_counted(server, known):
    key, _ = Keys(server.store, bytes(32)).make("few", ["generate"], per_day=4)
    opened = Gate(None, Verdicts(server.folder))
    assert len(server.make(opened, asked(known, "json", "moons"), key)) == 3
    with pytest.raises(QuotaSpent, match="has 1 left"):
        server.make(opened, asked(known, "json", "moons"), key)


def command(server, *words):
    return main(["reproduce", "--folder", str(server.folder), *words])


def test_the_command_says_which_and_tells_by_its_exit_code(server, known, tmp_path, capsys):
    record = server.made["picture"][1].record
    assert command(server, record.id, "--out", str(tmp_path / "x.png"), "--json") == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["same"], told["compared"], told["kept"]) == (True, CONTENT, "as recorded")
    assert sha256((tmp_path / "x.png").read_bytes()).hexdigest() == record.plain_sha256
    record = server.made["points"][1].record
    assert command(server, record.id) == 0
    assert "the same, byte for byte. Compared: the whole file." in capsys.readouterr().out
    assert command(server, record.id, "--model", str(known["codes"].folder)) == 2
    assert command(server, "a" * 26) == 2
    assert main(["reproduce", record.id, "--folder", str(tmp_path / "none")]) == 2
    assert not (tmp_path / "none").exists()


def test_the_command_notices_a_record_that_was_changed(server, capsys):
    record = server.made["points"][2].record
    with server.store.writing() as connection:
        connection.exec_driver_sql("UPDATE records SET seed = '12345' WHERE id = ?", (record.id,))
        connection.exec_driver_sql(
            "UPDATE contents SET content = X'00' WHERE output = ?", (record.id,)
        )
    assert command(server, record.id) == 1
    said = capsys.readouterr().out
    assert "DIFFERENT" in said and "NOT AS RECORDED" in said
