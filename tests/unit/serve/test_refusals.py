"""What a limit or a filter refuses at once, and what a job that fails has made by then."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from fastapi.testclient import TestClient

from genloom.artifact import save
from genloom.data import open_dataset
from genloom.errors import BadInput
from genloom.recipe import resolve
from genloom.safety.policy.nearness import index
from genloom.safety.policy.nearness import save as save_index
from genloom.serve.app import create_app
from genloom.serve.making import Finished, Output
from genloom.serve.runner import PIECE, Runner
from genloom.serve.services import Services
from genloom.serve.settings import Settings
from genloom.serve.store import QuotaSpent
from genloom.serve.working import Work

NET = {"use": "transformer", "width": 16, "layers": 1, "heads": 1}
POLICY = '[[input]]\nuse = "words"\nwords = ["bomb"]\n'


@pytest.fixture(scope="module")
def client(tmp_path_factory) -> TestClient:
    """A server of one model of text, whose workers have not been started."""
    folder = tmp_path_factory.mktemp("served")
    (folder / "lines.txt").write_text("a bomb, a loom\n" * 300)
    (folder / "policy.toml").write_text(POLICY)
    torch.manual_seed(0)
    recipe = {"data": {"source": str(folder / "lines.txt")}, "train": {"steps": 1}}
    plan = resolve({**recipe, "model": {"use": "autoregressive", "net": NET}})
    save(folder / "lines", model=plan.model, recipe=plan.recipe, items=plan.dataset.items)
    models = {"lines": folder / "lines"}
    app = create_app(Settings(models, folder / "state", policy=folder / "policy.toml"))
    return TestClient(app, "http://127.0.0.1:8000")


@pytest.fixture
def ada(client) -> tuple[Any, dict[str, str]]:
    """A key for five samples a day, and what sends it."""
    keys = client.app.state.services.keys
    for key in keys.all():
        if key.revoked is None:
            keys.revoke(key.name)
    key, secret = keys.make("ada", ["generate"], per_day=5)
    return key, {"Authorization": f"Bearer {secret}"}


def sent(client: TestClient, head: dict[str, str], **body: Any) -> Any:
    return client.post("/v1/jobs", json={"kind": "sample", "body": body}, headers=head)


def waiting(client: TestClient, head: dict[str, str]) -> int:
    return len(client.get("/v1/jobs", headers=head).json()["data"])


def test_a_job_of_more_than_the_day_has_left_does_not_wait(client, ada):
    key, head = ada
    client.app.state.services.keys.spend(key, 3)
    refused = sent(client, head, n=3)
    assert (refused.status_code, refused.json()["error"]["code"]) == (429, "rate_limit_exceeded")
    assert "2 left" in refused.json()["error"]["message"] and refused.headers["retry-after"]
    assert sent(client, head, n=6).status_code == 400  # more than a day has
    assert waiting(client, head) == 0
    assert sent(client, head, n=2).status_code == 200 and waiting(client, head) == 1


def test_a_job_whose_prompt_is_refused_does_not_wait(client, ada):
    key, head = ada
    refused = sent(client, head, n=1, prompt="a bomb")
    assert refused.status_code == 400
    assert refused.json()["error"]["code"] == "content_policy_violation"
    assert waiting(client, head) == 0
    assert sent(client, head, n=1, prompt="a loom").status_code == 200
    assert client.app.state.services.keys.spend(key, 5).samples == 0


class Spent:
    """Makes one piece; for a second one nothing is left."""

    def __init__(self) -> None:
        self.left = PIECE

    async def make(self, caller: Any, asked: Any):
        self.left -= len(asked.seeds)
        if self.left < 0:
            raise QuotaSpent("nothing is left.", 1.0)
        record: Any = [SimpleNamespace(id=f"output {seed}") for seed in asked.seeds]
        yield Finished(
            [Output(seed, None, one) for seed, one in zip(asked.seeds, record, strict=True)]
        )


def test_a_job_that_fails_names_the_outputs_that_it_made(client, ada, monkeypatch):
    key, _ = ada
    parts: Services = client.app.state.services
    monkeypatch.setattr(parts, "maker", Spent())
    for _ in iter(lambda: parts.jobs.claim("other", 30.0), None):
        pass
    body = {"model": "lines", "n": PIECE + 8, "seed": 7}
    job = parts.jobs.add(key.id, "sample", body)
    claimed = parts.jobs.claim("worker", 30.0)
    assert claimed is not None and claimed.id == job.id
    runner = Runner(parts, lambda name: asyncio.sleep(0), client.app, "here")
    asyncio.run(runner._do(Work(parts, claimed)))
    ended = parts.jobs.get(key.id, job.id)
    assert (ended.state, ended.error) == ("failed", "nothing is left.")
    outputs = [f"output {seed}" for seed in range(7, 7 + PIECE)]
    assert ended.result == {**body, "outputs": outputs}


def test_an_index_that_names_a_model_of_other_items_ends_the_start(client, tmp_path, capsys):
    settings = client.app.state.services.settings
    save_index(tmp_path / "digits.index", index(open_dataset("digits")), "image")
    rule = '[[output]]\nuse = "nearness"\nindex = "digits.index"\n'
    rules = tmp_path / "policy.toml"
    rules.write_text(f'{rule}models = ["lines"]\n')
    given = replace(settings, folder=tmp_path / "state", policy=rules)
    with pytest.raises(BadInput, match="not of items like those of 'lines'"):
        create_app(given)
    rules.write_text(rule)
    create_app(given)
    said = capsys.readouterr().err
    assert said.startswith("genloom: the index") and said.endswith("does not look at lines.\n")
