"""Two keys on one server: votes of each, and nothing of the other's jobs; what no key may ask."""

from __future__ import annotations

import pytest
from scipy.stats import binomtest

from tests.e2e.asking import look, talk, until
from tests.e2e.server import serving
from tests.e2e.test_jobs import PLAIN, begin
from tests.e2e.test_trainings import LONG, pictures, step_of, upload


@pytest.fixture(scope="module")
def keyed(tmp_path_factory, served_models):
    """(server, headers of ann's key, headers of bob's)."""
    with serving(tmp_path_factory.mktemp("keyed") / "state", served_models, *PLAIN) as started:
        with talk(started) as client:
            body = {"scopes": ["generate", "train", "admin"]}
            first = client.post("/v1/keys", json={"name": "ann", **body})
            ann = {"authorization": f"Bearer {first.json()['secret']}"}
            second = client.post("/v1/keys", json={"name": "bob", **body}, headers=ann)
            bob = {"authorization": f"Bearer {second.json()['secret']}"}
        yield started, ann, bob


@pytest.mark.parametrize(
    ("kind", "more", "param"),
    [
        ("forecast", {"settings": {"data.source": "/etc"}}, "settings"),
        ("forecast", {"settings": {"model.use": "evil:Code"}}, "settings"),
        ("forecast", {"settings": {"train.lr": [1]}}, None),
        ("forecast", {"minutes": 1.0}, "minutes"),
        ("forecast", {"steps": None}, "minutes"),
        ("forecast", {"data": "/etc/passwd"}, None),
        ("train", {"name": "../a"}, "name"),
        ("train", {"name": "digits"}, "name"),
        ("survey", {"size": 9}, "steps"),
    ],
)
def test_what_a_request_may_not_say_is_refused(keyed, kind, more, param):
    server, ann, _ = keyed
    with talk(server) as client:
        body = {"data": "moons", "family": "vae", "steps": 9, **more}
        if kind == "survey":
            del body["family"]
        asked = {"kind": kind, "body": body}
        answer = client.post("/v1/jobs", json=asked, headers=ann)
        assert answer.status_code == (404 if "/etc/passwd" in str(body) else 400), answer.text
        assert param is None or answer.json()["error"]["param"] == param


def test_votes_give_a_preference_with_wilsons_interval(keyed):
    server, ann, bob = keyed
    with talk(server) as client:
        client.headers.update(ann)
        asked = {"n": 7, "options": {"steps": 1}}
        ours = [one["id"] for one in outputs(client, "digits", **asked)]
        theirs = [one["id"] for one in outputs(client, "codes", n=7)]
        answer = client.get("/v1/votes?a=digits&b=codes").json()
        assert (answer["votes"], answer["preference"], answer["low"]) == (0, None, None)
        choices = ("left", "left", "right", "tie", "left", "left", "left")
        for i, choice in enumerate(choices):
            pair = {"left": ours[i], "right": theirs[i]}
            if i % 2:  # the sides are exchanged, and so is what was chosen
                pair = {"left": theirs[i], "right": ours[i]}
                choice = {"left": "right", "right": "left"}.get(choice, choice)
            assert client.post("/v1/votes", json={**pair, "choice": choice}).status_code == 200
        answer = client.get("/v1/votes?a=digits&b=codes").json()
        exact = binomtest(5, 6).proportion_ci(method="wilson")
        assert (answer["votes"], answer["a_wins"], answer["b_wins"], answer["ties"]) == (7, 5, 1, 1)
        assert answer["preference"] == 5 / 6
        assert answer["low"] == pytest.approx(exact.low, abs=1e-12)
        assert answer["high"] == pytest.approx(exact.high, abs=1e-12)
        turned = client.get("/v1/votes?a=codes&b=digits").json()
        assert (turned["a_wins"], turned["preference"]) == (1, 1 / 6)
        vote = {"left": ours[0], "right": theirs[0], "choice": "left"}
        for wrong in ({**vote, "choice": "both"}, {**vote, "right": ours[1]}, {"left": ours[0]}):
            assert client.post("/v1/votes", json=wrong).status_code == 400
        assert client.get("/v1/votes?a=digits&b=digits").status_code == 400
        assert client.get("/v1/votes?a=digits&b=none").status_code == 404
        client.headers.update(bob)
        assert client.post("/v1/votes", json=vote).status_code == 404
        assert client.get("/v1/votes?a=digits&b=codes").json()["votes"] == 0


def outputs(client, model: str, **more) -> list[dict]:
    answer = client.post("/v1/generations", json={"model": model, **more})
    assert answer.status_code == 200, answer.text
    return answer.json()["data"]


@pytest.mark.slow
def test_another_key_sees_and_stops_and_resumes_nothing(keyed):
    server, ann, bob = keyed
    with talk(server) as client:
        client.headers.update(ann)
        data = upload(client, pictures(4, b"?"))
        job = begin(client, "train", **LONG)
        until(lambda: step_of(client, job) > 50, 60, "training")
        until(lambda: client.get(f"/v1/jobs/{job}/samples").json()["data"], 20, "drawn")
        client.headers.update(bob)
        paths = ("", "/curves", "/samples", "/samples/0", "/report", "/pairs", "/events")
        foreign = [client.get(f"/v1/jobs/{job}{path}") for path in paths]
        absent = [client.get(f"/v1/jobs/{'a' * 26}{path}") for path in paths]
        assert [answer.status_code for answer in foreign] == [404] * len(paths)
        assert [answer.text for answer in foreign] == [answer.text for answer in absent]
        assert client.delete(f"/v1/jobs/{job}").status_code == 404
        for kind, body in (
            ("survey", {"data": data}),
            ("forecast", {"data": data, "family": "vae", "steps": 9}),
            ("train", {"data": data, "family": "vae", "steps": 9, "name": "other"}),
        ):
            answer = client.post("/v1/jobs", json={"kind": kind, "body": body})
            assert answer.status_code == 404, kind
        taken = client.post("/v1/jobs", json={"kind": "train", "body": LONG})
        assert taken.status_code == 400 and "taken" in taken.json()["error"]["message"]
        client.headers.update(ann)
        client.delete(f"/v1/jobs/{job}")
        until(lambda: look(client, job)["finished"], 30, "stopped")
        client.headers.update(bob)
        assert client.post(f"/v1/jobs/{job}/resume").status_code == 404
        assert client.get("/v1/jobs").json()["data"] == []
