"""`genloom serve`, `keys` and `verify`: the server's verbs; nothing heavy until one is called."""

from __future__ import annotations

import argparse
import signal
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

from genloom.errors import BadInput, need
from genloom.serve import again

SERVE = """\
Serve trained models over HTTP, with a studio at / and OpenAI's routes under /v1.

Only this machine can reach it, unless there is a key: genloom keys add NAME.

examples:
  genloom serve runs/digits-flow                       then open http://127.0.0.1:8000
  genloom serve runs/digits-flow runs/names-autoregressive --workers 2
  genloom serve digits=runs/digits-flow --host 0.0.0.0 --hosts loom.example.org
  genloom serve runs/digits-flow --policy policy.toml --watermark
  genloom serve runs/digits-flow --gate gate.toml      only if its verdict keeps these bounds
"""

KEYS = """\
Make, list and end the keys of a server. A key's secret is shown once.

examples:
  genloom keys add alice
  genloom keys add worker --scopes generate,train --per-minute 60 --per-day 10000
  genloom keys list
  genloom keys revoke alice
"""

INDEX = """\
Make the index of a run's training data that a policy's nearness filter reads.

With it a server notices copies of training items. Keep it as private as the data.

examples:
  genloom index runs/digits-flow --out digits.index.safetensors
"""

VERIFY = """\
Tell what marks a file carries, and how far each can be believed.

The exit code is 0 where something was found, and 1 where nothing was. Absence proves nothing.

examples:
  genloom verify picture.png
  genloom verify picture.png --folder server --json
"""

FOLDER = Path("server")
NEVER_STARTED = 3  # the exit code, as of uvicorn


def add_parsers(verb: Any) -> None:
    """Add the verbs to the command line."""
    _add_serve(verb("serve", SERVE, serve))
    made = verb("keys", KEYS, keys)
    made.add_argument("action", metavar="ACTION", choices=("add", "list", "revoke"))
    made.add_argument("name", metavar="NAME", nargs="?", help="of the key")
    made.add_argument("--scopes", default="generate", metavar="A,B", help="generate, train, admin")
    made.add_argument("--per-minute", type=int, metavar="N", help="requests for samples a minute")
    made.add_argument("--per-day", type=int, metavar="N", help="samples a day")
    _add_store(made)
    made = verb("index", INDEX, index)
    made.add_argument("source", metavar="RUN", help="a run, or its name; its data must be there")
    made.add_argument("--out", type=Path, required=True, metavar="FILE", help="to write")
    made.add_argument("--rate", type=float, default=0.01, help="of new items taken for copies")
    again.add_parser(verb, FOLDER)
    made = verb("verify", VERIFY, verify)
    made.add_argument("file", metavar="FILE", type=Path, help="a picture, a sound, a film, a text")
    made.add_argument("--beside", metavar="JSON", type=Path, help="its sidecar")
    made.add_argument("--model", metavar="RUN", help="whose reading a text's mark is tried in")
    made.add_argument("--trust", metavar="PEM", type=Path, help="root certificates to trust")
    made.add_argument("--folder", type=Path, default=FOLDER, help="of the server that made it")


def _add_serve(made: Any) -> None:
    made.add_argument("models", metavar="[NAME=]RUN", nargs="*", help="runs, or artifacts")
    made.add_argument("--host", default="127.0.0.1", help="address to listen on (127.0.0.1)")
    made.add_argument("--port", type=int, default=8000, help="port to listen on (8000)")
    made.add_argument("--hosts", default="", metavar="A,B", help="more host names it answers to")
    made.add_argument("--workers", type=int, default=1, help="processes that sample (1)")
    made.add_argument("--threads", type=int, help="of each worker; default: the cores, shared")
    made.add_argument("--memory", type=float, metavar="GB", help="of weights in each worker")
    made.add_argument("--idle", type=float, default=10.0, metavar="MIN", help="until a model goes")
    made.add_argument("--int8", action="store_true", help="texts: faster, others than by float32")
    made.add_argument("--waiting", type=int, default=256, help="requests before a 429 (256)")
    made.add_argument("--policy", type=Path, metavar="TOML", help="filters of what comes and goes")
    made.add_argument("--gate", type=Path, metavar="TOML", help="bounds that verdicts must keep")
    made.add_argument(
        "--ungated", action="append", default=[], metavar="NAME", help="serve it all the same"
    )
    made.add_argument("--no-sign", action="store_true", help="no C2PA signature on pictures")
    made.add_argument("--no-labels", action="store_true", help="no AIGC label on pictures")
    made.add_argument("--watermark", action="store_true", help="an invisible mark, from 64 pixels")
    made.add_argument(
        "--explicit", choices=("off", "corner", "caption"), default="off", help="visible words"
    )
    made.add_argument("--producer", default="genloom", metavar="CODE", help="in every label")
    made.add_argument("--blobs", metavar="URL", help="where files are kept; default: in --folder")
    _add_store(made)


def _add_store(made: Any) -> None:
    made.add_argument("--folder", type=Path, default=FOLDER, help="what the server keeps (server)")
    made.add_argument("--database", metavar="URL", help="default: SQLite in --folder")


def serve(args: argparse.Namespace) -> int:
    """`genloom serve`."""
    try:
        import fastapi  # noqa: F401
        import prometheus_client  # noqa: F401
        import uvicorn
    except ModuleNotFoundError as error:
        raise need(error.name or "fastapi", "serve", "The server") from None
    from genloom.memory import free_at_once
    from genloom.serve.app import create_app
    from genloom.serve.gate import check_gate
    from genloom.serve.listening import listening
    from genloom.serve.reproduce import note_models

    free_at_once()
    settings = settings_of(args)
    with listening(args.host, args.port) as sockets:
        app = create_app(settings)
        parts = app.state.services
        check_gate(parts.maker.gate, [parts.models[name] for name in settings.models])
        note_models(settings.folder, parts.models.values())
        # uvicorn, when it has drained, sends itself the signal again: an orderly end is no failure.
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
        host = args.host.strip("[]") or "localhost"  # none means every address
        shown = f"[{host}]" if ":" in host else host
        where = f"http://{shown}:{sockets[0].getsockname()[1]}"
        print(f"genloom serves {', '.join(settings.models)} at {where}", flush=True)
        config = uvicorn.Config(
            app,
            log_config=_logging(),
            access_log=False,
            server_header=False,
            timeout_graceful_shutdown=30,
        )
        server = uvicorn.Server(config)
        with suppress(KeyboardInterrupt):  # it has drained
            server.run(list(sockets))
    return 0 if server.started else NEVER_STARTED


def settings_of(args: argparse.Namespace) -> Any:
    """What the command line says, as the server's settings."""
    import os

    from genloom.artifact import find
    from genloom.safety.marks.apply import Marks
    from genloom.serve.settings import Limits, Settings

    if args.waiting < 1:
        raise BadInput(f"--waiting {args.waiting}: at least one request must be taken.")
    for name in ("workers", "threads"):
        number = getattr(args, name)
        if number is not None and number < 1:
            raise BadInput(f"--{name} {number}: at least one is needed.")
    if not args.idle > 0 or not (args.memory is None or args.memory > 0):
        raise BadInput("--idle and --memory must be above 0.")
    models: dict[str, Path] = {}
    for word in args.models:
        name, _, path = word.rpartition("=")
        folder = find(path)
        name = name or (folder.parent if folder.name == "model" else folder).resolve().name
        if name in models:
            raise BadInput(f"two models are called {name!r}. Name one of them: NAME={path}")
        models[name] = folder
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return Settings(
        models=models,
        folder=args.folder,
        host=args.host,
        port=args.port,
        database=args.database,
        blobs=args.blobs,
        workers=args.workers,
        memory=None if args.memory is None else int(args.memory * 1e9),
        idle_s=60 * args.idle,
        int8=args.int8,
        threads=args.threads or max(1, (cores or 1) // args.workers),
        hosts=tuple(name for name in args.hosts.split(",") if name),
        policy=args.policy,
        gate=args.gate,
        ungated=frozenset(args.ungated),
        marks=Marks(
            labels=not args.no_labels,
            sign=not args.no_sign,
            watermark=args.watermark,
            explicit=args.explicit,
        ),
        producer=args.producer,
        limits=Limits(waiting=args.waiting),
    )


def keys(args: argparse.Namespace) -> None:
    """`genloom keys`."""
    from genloom.serve.store import Keys, Store, pepper
    from genloom.verbs import show

    args.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    url = args.database or f"sqlite:///{args.folder / 'genloom.sqlite'}"
    with Store(url) as store:
        found = Keys(store, pepper(args.folder / "secret" / "pepper"))
        if args.action == "list":
            rows = [vars(key) for key in found.all()]
            lines = [_row(row) for row in rows] or ["no keys. Make one: genloom keys add NAME"]
            return show(args, {"keys": rows}, "\n".join(lines))
        if args.name is None:
            raise BadInput(f"which key? genloom keys {args.action} NAME")
        if args.action == "revoke":
            key = found.revoke(args.name)
            return show(args, vars(key), f"{key.name} is no longer a key.")
        scopes = [scope for scope in args.scopes.split(",") if scope]
        key, secret = found.make(
            args.name, scopes, per_minute=args.per_minute, per_day=args.per_day
        )
        show(args, {**vars(key), "secret": secret}, f"{secret}\nKeep it: it is not shown again.")
    return None


def _row(row: dict[str, Any]) -> str:
    state = "revoked" if row["revoked"] else ",".join(row["scopes"])
    minute, day = row["per_minute"] or "-", row["per_day"] or "-"
    return f"{row['name']:24} {state:28} {minute:>6} a minute {day:>8} a day"


def index(args: argparse.Namespace) -> None:
    """`genloom index`."""
    import tomllib

    from genloom import runs
    from genloom.core import check_options
    from genloom.recipe import open_data
    from genloom.safety.policy import nearness
    from genloom.verbs import show

    check_options(nearness.index, {"rate": args.rate})
    if args.out.is_dir() or not args.out.parent.is_dir():  # before the work
        raise BadInput(f"--out {args.out}: it must be a file in a folder that is there.")
    recipe = tomllib.loads((runs.find(args.source) / "recipe.toml").read_text(encoding="utf-8"))
    table = dict(recipe["data"])
    data = open_data(table.pop("source"), **table)
    tensors = nearness.index(data, rate=args.rate)
    nearness.save(args.out, tensors, data.items.kind)
    size = args.out.stat().st_size
    show(args, {"file": str(args.out), "bytes": size}, f"{args.out}: {size:,} bytes")


def verify(args: argparse.Namespace) -> int:
    """`genloom verify`."""
    from dataclasses import asdict

    from genloom.artifact import load
    from genloom.safety.marks import verify as marks
    from genloom.safety.marks.identity import CHAIN, SECRET
    from genloom.safety.marks.texts import tester
    from genloom.verbs import show

    data = args.file.read_bytes()
    home = args.folder / "secret" / "identity"
    secret = (home / SECRET).read_bytes() if (home / SECRET).is_file() else b""
    trust = args.trust or (home / CHAIN if (home / CHAIN).is_file() else None)
    lexicons = [load(args.model, device="cpu").items.lexicon] if args.model else []
    found = marks.check(
        data,
        keys=marks.Keys(secret, tester(secret, lexicons) if secret else None),
        trust=trust.read_bytes() if trust else b"",
        beside=args.beside.read_bytes() if args.beside else None,
    )
    rows = [{"mark": type(one).__name__.lower(), **asdict(one)} for one in found]
    lines = [_said(one) for one in found]
    show(args, {"findings": rows}, "\n".join(lines))
    return 0 if any(not line.endswith(("absent", "none")) for line in lines) else 1


def _said(finding: Any) -> str:
    from genloom.safety.marks import verify as marks

    match finding:
        case marks.Signature():
            told = ", ".join(f"{k} {v[:16]}" for k, v in finding.generation if k != "options")
            by = f" by {finding.issuer}" if finding.issuer else ""
            return f"signature ({finding.carrier}): {finding.state}{by}" + (
                f"; {told}" if told else ""
            )
        case marks.Label():
            return f"AIGC label: {finding.state}"
        case marks.Source():
            return f"digital source type: {finding.value or 'none'}"
        case _:
            score = finding.score
            if score is None:
                return f"watermark: not tested, {finding.reason}; none"
            found = f"found, p = {score.p_value:.1e}" if score.found else "none"
            return f"watermark: {found}"


def _logging() -> dict[str, Any]:
    """One JSON line for each answer on the error stream, without prompts or bodies."""
    plain = {"class": "logging.StreamHandler", "stream": "ext://sys.stderr"}
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "handlers": {"plain": plain},
        "root": {"handlers": ["plain"], "level": "WARNING"},
        "loggers": {
            name: {"handlers": ["plain"], "level": "INFO", "propagate": False}
            for name in ("genloom.access", "uvicorn.error")
        },
    }
