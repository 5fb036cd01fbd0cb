"""A server that answers what the studio asks, from known answers, and keeps what it was asked."""

from __future__ import annotations

import io
import json
import threading
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from PIL import Image

from genloom.serve.guard import PAGE
from genloom.studio import FOLDER

TYPES = {
    ".js": "text/javascript",
    ".css": "text/css",
    ".svg": "image/svg+xml",
    ".html": "text/html",
}
SIZE = 3  # numbers of a code
DIGITS = [str(i) for i in range(10)]


def picture(tint: int, side: int = 16) -> bytes:
    """A PNG of one colour with a bar, so that neighbours can be told apart."""
    image = Image.new("RGB", (side, side), (tint % 256, (3 * tint) % 256, 90))
    image.paste((240, 240, 240), (tint % side, 0, tint % side + 2, side))
    out = io.BytesIO()
    image.save(out, "PNG")
    return out.getvalue()


def estimate(name: str, value: float, half: float, **more: Any) -> dict[str, Any]:
    """A measure as a verdict tells it."""
    told = {"name": name, "value": value, "low": value - half, "high": value + half, "n": 500}
    rest = {"id": "cnn-1", "better": "lower", "unit": "", "tag": "", "floor": None, "trivial": None}
    return told | rest | more


def verdict(run: str, kid: float, coverage: float, n: int = 500) -> dict[str, Any]:
    """A verdict of a model."""
    passed = kid < 0.1
    return {
        "run": run,
        "name": "flow",
        "passed": passed,
        "failures": [] if passed else ["6.0% of the samples are copies of training items"],
        "warnings": ["floors are taken at n = 400, not 500"],
        "conditions": {"split_fingerprint": "f", "n": n},
        "estimates": [
            estimate("kid", kid, 0.01, floor=0.001, trivial=0.8, n=n),
            estimate("coverage", coverage, 0.03, better="higher", floor=0.97, trivial=0.1, n=n),
        ],
    }


@dataclass
class Stub:
    """What it was asked, and what it answers."""

    url: str = ""
    asked: list[tuple[str, str, Any]] = field(default_factory=list)
    jobs: dict[str, dict[str, Any]] = field(default_factory=dict)
    made: dict[str, dict[str, Any]] = field(default_factory=dict)
    votes: list[dict[str, Any]] = field(default_factory=list)
    uploads: list[bytes] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)  # what was asked for and is not known

    def bodies(self, path: str, method: str = "POST") -> list[Any]:
        """What was sent there."""
        return [body for how, where, body in self.asked if (how, where) == (method, path)]

    def job(self, kind: str, state: str, **more: Any) -> dict[str, Any]:
        """A job, kept."""
        id = f"job-{len(self.jobs)}"
        plain = {
            "progress": 0.4,
            "created": 1.7e9,
            "started": 1.7e9,
            "finished": None,
            "error": None,
        }
        rest = {"id": id, "kind": kind, "state": state, "body": {}, "result": None, "ahead": 0}
        self.jobs[id] = plain | rest | more
        return self.jobs[id]

    def answer(self, method: str, path: str, query: dict[str, str], body: Any) -> Any:
        """Bytes are a picture, text is a stream, a number a refusal, all else is JSON.

        None is not found.
        """
        match (method, path.strip("/").split("/")[1:]):
            case "GET", ["session"]:
                return {"name": "ada", "scopes": ["generate", "train", "admin"], "local": True}
            case "GET", ["models"]:
                return {"data": [*map(_model, ("loom", "weft")), _model("moons", "points"), *GIVEN]}
            case "GET", ["models", "moons", "schema"]:
                return {"properties": {"seed": {"type": "integer"}}}
            case "GET", ["models", _, "schema"]:
                return {"properties": {"label": {"enum": DIGITS}, "steps": STEPS}}
            case "POST", ["generations"]:
                return self.generate(body)
            case "POST", ["encodings"]:
                return {"data": [[float(self.made[i]["seed"]), 0.5, 0.0] for i in body["outputs"]]}
            case "GET", ["outputs"]:
                of = query.get("model")
                mine = [one for one in self.made.values() if of in (None, one["model_hash"])]
                return {"data": mine[::-1][:100], "has_more": False}
            case "DELETE", ["outputs", id] if self.made.get(id, {}).get("state") == "held":
                return 409
            case "DELETE", ["outputs", id]:
                return {"id": id, "deleted": self.made.pop(id, None) is not None}
            case "GET", ["outputs", id, "content"]:
                return self.content(id)
            case "GET", ["reviews" | "keys"]:
                return {"data": [], "has_more": False}
            case _, ["jobs", *rest]:
                return self.of_jobs(method, rest, body)
            case "POST", ["files"]:
                self.uploads.append(body)
                return {"id": f"file-{len(self.uploads)}"}
            case "POST", ["votes"]:
                self.votes.append(body)
                return {"id": f"vote-{len(self.votes)}"}
            case "GET", ["votes"]:
                return self.tally(query["a"], query["b"])
        return None

    def generate(self, body: dict[str, Any]) -> Any:
        """A generation; each output's tint is its place in a walk, or its code, or its seed."""
        tints = [body.get("seed", 0) + i for i in range(body.get("n", 1))]
        if "mix" in body:
            tints = [body["seed"] + round(100 * share) for share in body["mix"]]
        if "latent" in body:
            tints = [round(100 + 30 * sum(code)) for code in body["latent"]]
        points = body["model"] == "moons"
        data = []
        for tint in tints:
            id = f"out-{len(self.made)}"
            told = {"id": id, "model": body["model"], "seed": tint, "label": body.get("label")}
            told["model_hash"] = body["model"]
            kind = {"kind": "points" if points else "image", "state": "free", "created": 1.7e9}
            self.made[id] = told | kind
            data.append(self.made[id])
        done = {"created": 1.7e9, "model": body["model"], "seed": tints[0], "data": data}
        if not body.get("stream"):
            return done
        import base64

        guesses = [
            {"step": k, "data": [{"index": 0, "b64_json": base64.b64encode(picture(k)).decode()}]}
            for k in (1, 2, 3)
        ]
        lines = [f"event: generation.preview\ndata: {json.dumps(one)}\n\n" for one in guesses]
        return "".join(lines) + f"event: generation.completed\ndata: {json.dumps(done)}\n\n"

    def content(self, id: str) -> Any:
        """The bytes of an output."""
        item = self.made.get(id)
        if item is None:
            return None
        if item["kind"] == "points":
            return {"values": [item["seed"] / 50, 0.5]}
        return picture(item["seed"])

    def of_jobs(self, method: str, rest: list[str], body: Any) -> Any:
        """All below /v1/jobs."""
        match (method, rest):
            case "GET", []:
                return {"data": list(self.jobs.values())[::-1], "has_more": False}
            case "POST", []:
                return self.begin(body["kind"], body["body"])
            case "POST", [id, "resume"]:
                return self.job("train", "running", body=self.jobs[id]["body"])
            case "DELETE", [id]:
                self.jobs[id] |= {"state": "cancelled", "finished": 1.7e9}
                return self.jobs[id]
            case "GET", [id]:
                return self.jobs.get(id)
            case "GET", [id, "events"]:
                return f"event: job\ndata: {json.dumps(self.jobs[id])}\n\ndata: [DONE]\n\n"
            case "GET", [id, "curves"]:
                begun = self.jobs[id]["progress"] > 0
                return CURVES if begun else CURVES | {"series": {}, "step": 0, "total": None}
            case "GET", [_, "samples"]:
                return {"data": [{"step": k, "media_type": "image/png"} for k in (100, 200, 400)]}
            case "GET", [_, "samples", step]:
                return picture(int(step), 64)
            case "GET", [_, "pairs"]:
                return PAIRS
        return None

    def begin(self, kind: str, body: dict[str, Any]) -> dict[str, Any]:
        """A new job; short ones are done at once."""
        results = {"survey": SURVEY, "forecast": FORECAST}
        if kind in results:
            return self.job(kind, "succeeded", body=body, result=results[kind], finished=1.7e9)
        return self.job(kind, "running", body=body)

    def tally(self, a: str, b: str) -> dict[str, Any]:
        """All votes, with an interval that is plainly not computed here."""
        wins = {a: 0, b: 0}
        for vote in self.votes:
            if vote["choice"] in ("left", "right"):
                wins[self.made[vote[vote["choice"]]]["model"]] += 1
        decided = sum(wins.values())
        told = {"a": a, "b": b, "votes": len(self.votes), "a_wins": wins[a], "b_wins": wins[b]}
        share = wins[a] / decided if decided else None
        ends = {"preference": share, "low": 0.21, "high": 0.9} if decided else {"preference": None}
        return told | {"ties": len(self.votes) - decided, "low": None, "high": None} | ends


STEPS = {"type": "integer", "minimum": 1, "maximum": 1000, "default": 32}
SURVEY = {
    "read": 240,
    "quarantined": 2,
    "findings": [
        {"file": "cats/broken.png", "reason": "truncated: the file ends too early"},
        {"file": "dogs/note.txt", "reason": "not_an_image: the bytes are no picture"},
    ],
    "kind": "image",
    "shape": [3, 32, 32],
    "classes": [{"name": "cats", "count": 130}, {"name": "dogs", "count": 110}],
    "duplicates": 1,
    "captions": 200,
    "splits": {"train": 192, "valid": 24, "test": 24},
}
FORECAST = {"steps": 4100, "seconds": 300, "memory_bytes": 310e6, "disk_bytes": 12e6}
CURVES = {
    "series": {
        "velocity": [[k, 2 / (1 + k / 20) + 0.05 * (k % 3)] for k in range(1, 200)],
        "grad_norm": [[k, 4 - k / 80] for k in range(1, 200)],
        "items_per_s": [[k, 250 + k % 7] for k in range(1, 200)],
    },
    "alarms": [
        {"name": "collapse", "text": "the samples have 12% of the diversity.", "active": True},
        {"name": "plateau", "text": "an old alarm", "active": False},
    ],
    "step": 199,
    "total": 500,
    "seconds_left": 95.0,
}


def _pairs() -> dict[str, Any]:
    import base64

    shot = [base64.b64encode(picture(k)).decode() for k in (3, 5, 9, 11)]
    rows = [{"distance": 0.12, "generated_b64": shot[0], "training_b64": shot[1]}]
    return {"data": [*rows, {"distance": 0.4, "generated_b64": shot[2], "training_b64": shot[3]}]}


PAIRS = _pairs()


def _model(name: str, kind: str = "image") -> dict[str, Any]:
    shape, classes = ([3, 16, 16], DIGITS) if kind == "image" else ([2], [])
    told = {"id": name, "kind": kind, "shape": shape, "classes": classes, "hash": name}
    return told | ({"latent": {"size": SIZE}, "embeds": True} if name == "loom" else {})


GIVEN = [
    _model("holes") | {"edits": True, "source": {"given": "masked", "needed": False, "mask": True}},
    _model("paints") | {"edits": True, "source": {"given": "grey", "needed": True, "mask": False}},
    _model("changes") | {"edits": True},
]


def _handler(stub: Stub) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def answer(self) -> None:
            where = urlsplit(self.path)
            query = {name: values[0] for name, values in parse_qs(where.query).items()}
            data = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            plain = "json" in (self.headers.get("Content-Type") or "")
            body = json.loads(data) if plain else data
            if not where.path.startswith("/v1/"):
                return self.page(where.path)
            stub.asked.append((self.command, where.path, body))
            found = stub.answer(self.command, where.path, query, body)
            if found is None:
                stub.missing.append(f"{self.command} {where.path}")
                return self.send(
                    404, "application/json", b'{"error": {"message": "no such thing"}}'
                )
            if isinstance(found, int):
                return self.send(found, "application/json", b'{"error": {"message": "refused"}}')
            if isinstance(found, bytes):
                return self.send(200, "image/png", found)
            if isinstance(found, str):
                return self.send(200, "text/event-stream", found.encode())
            return self.send(200, "application/json", json.dumps(found).encode())

        do_GET = do_POST = do_DELETE = answer

        def page(self, path: str) -> None:
            if path == "/metrics":
                return self.send(200, "text/plain", METRICS.encode())
            name = "index.html" if path == "/" else path.removeprefix("/studio/")
            file = FOLDER / name
            if not file.is_file():
                return self.send(404, "text/plain", b"")
            return self.send(200, TYPES[Path(name).suffix], file.read_bytes())

        def send(self, status: int, kind: str, data: bytes) -> None:
            self.send_response(status)
            self.send_header("Content-Type", f"{kind}; charset=utf-8")
            self.send_header("Content-Length", str(len(data)))
            self.send_header("Content-Security-Policy", PAGE)
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, *_: Any) -> None:
            """Say nothing."""

    return Handler


METRICS = """# HELP genloom_requests_waiting Requests: waiting.
genloom_requests_waiting 3.0
genloom_requests_running 2.0
genloom_rejected_total 7.0
genloom_deaths_total 1.0
genloom_resident_bytes{name="worker-0"} 4e+08
genloom_resident_bytes{name="worker-1"} 3e+08
genloom_resident_bytes{name="server"} 1e+08
genloom_jobs{state="queued"} 4.0
genloom_jobs{state="running"} 1.0
genloom_seconds_bucket{le="0.1",route="POST /v1/generations"} 10.0
genloom_seconds_bucket{le="0.5",route="POST /v1/generations"} 18.0
genloom_seconds_bucket{le="+Inf",route="POST /v1/generations"} 20.0
"""


@contextmanager
def stub():
    """A running stub; ended afterwards."""
    one = Stub()
    server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(one))
    one.url = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield one
    finally:
        server.shutdown()
        server.server_close()
        thread.join(10)


@pytest.fixture
def stubbed():
    """A stub for one test; a module of tests takes it as its `server`."""
    with stub() as one:
        yield one
