"""Two servers with disks of their own on one PostgreSQL and S3: either does the other's work."""

from __future__ import annotations

import io
import random
import signal
import zipfile
from contextlib import ExitStack

import pytest
from PIL import Image

from tests.e2e.asking import events, made, talk, until
from tests.e2e.server import serving
from tests.e2e.test_jobs import PLAIN, begin
from tests.e2e.test_trainings import step_of, upload
from tests.unit.serve.store import postgres, s3

SETTINGS = {"model.latent": 4}
TRAINING = {"family": "vae", "name": "mine", "steps": 4000, "settings": SETTINGS}


@pytest.fixture
def machines(tmp_path, served_models):
    """Two servers, one store."""
    with ExitStack() as stack:
        socket = stack.enter_context(postgres.server())
        stack.enter_context(s3.environment(stack.enter_context(s3.server(tmp_path))))
        place = ["--database", postgres.database(socket, "loom")]
        place += ["--blobs", f"s3://{s3.BUCKET}/genloom"]
        folders = [tmp_path / name for name in ("a", "b")]
        yield [
            stack.enter_context(serving(folder, served_models, *PLAIN, *place))
            for folder in folders
        ]


def noise(count: int) -> bytes:
    """A zip of pictures, no two alike."""
    out, pixels = io.BytesIO(), random.Random(0)
    with zipfile.ZipFile(out, "w") as archive:
        for i in range(count):
            picture = io.BytesIO()
            Image.frombytes("L", (8, 8), pixels.randbytes(64)).save(picture, "png")
            archive.writestr(f"{i}.png", picture.getvalue())
    return out.getvalue()


def names(client) -> list[str]:
    return [one["id"] for one in client.get("/v1/models").json()["data"]]


def checkpoints(server) -> list[int]:
    return [int(p.name[5:]) for p in (server.folder / "runs/mine/checkpoints").glob("step-*")]


@pytest.mark.slow
def test_a_training_outlives_its_machine_and_all_serve_its_model(machines):
    a, b = machines
    with talk(a) as client:
        data = upload(client, noise(400))
        job = begin(client, "train", data=data, **TRAINING)
        until(lambda: max(checkpoints(a) + checkpoints(b), default=0), 120, "saved")
        first, last = (a, b) if checkpoints(a) else (b, a)
    with talk(last, 120) as client:
        until(lambda: step_of(client, job) > 100, 60, "seen by the other machine")
        first.kill(signal.SIGKILL)
        steps = [step_of(client, job)]
        until(lambda: checkpoints(last), 60, "taken over")
        until(lambda: steps.append(step_of(client, job)) or steps[-1] > steps[0], 60, "goes on")
        assert min(steps) > 0  # it did not begin anew
        done = events(client, job)[-1]
        assert done["state"] == "succeeded" and done["result"]["steps"] == 4000, done
        ask = {"model": "mine", "n": 2, "seed": 5}
        drawn = made(client, ask)
        first.start()
        with talk(first) as other:
            assert "mine" in names(other) and made(other, ask) == drawn
            assert step_of(other, job) == 4000


@pytest.mark.slow
def test_what_one_machine_trains_and_judges_the_other_serves_and_shows(machines):
    a, b = machines
    with talk(a, 120) as client, talk(b, 120) as other:
        data = upload(client, noise(1600))
        job = begin(client, "train", data=data, **TRAINING | {"steps": 200})
        assert events(other, job)[-1]["state"] == "succeeded"
        for one in (client, other):
            until(lambda one=one: "mine" in names(one), 15, "served without a restart")
        ask = {"model": "mine", "n": 2, "seed": 5}
        assert made(client, ask) == made(other, ask)
        jobs = [begin(one, "evaluate", model="mine", n=160) for one in (client, other) * 2]
        for job in jobs:  # whichever machine does it, it has the data, and both show it
            told = events(other, job)[-1]
            assert told["state"] == "succeeded", told
            shown = [one.get(f"/v1/jobs/{job}/pairs").json()["data"] for one in (client, other)]
            assert shown[0] == shown[1] and shown[0]
