"""What a text may not say, and where a file comes from."""

from __future__ import annotations

import hashlib
import time
from dataclasses import asdict
from typing import Annotated, Any

from fastapi import APIRouter, Request, UploadFile
from pydantic import BaseModel, Field
from starlette.concurrency import run_in_threadpool

from genloom.data.decode import looks_like_image
from genloom.safety.marks import verify
from genloom.safety.marks.texts import tester
from genloom.safety.policy import Decision
from genloom.safety.policy.moderation import result
from genloom.serve import given
from genloom.serve.guard import allow
from genloom.serve.problems import Problem
from genloom.serve.services import Services, services

router = APIRouter(prefix="/v1")


class Moderated(BaseModel, extra="allow"):
    """Texts to look at."""

    input: str | Annotated[list[str], Field(fail_fast=True)]
    model: str | None = None


@router.post("/moderations")
def moderate(request: Request, body: Moderated) -> dict[str, Any]:
    """What the server's own policy says of texts."""
    allow(request, "generate")
    policy = services(request).policy
    texts = [body.input] if isinstance(body.input, str) else body.input
    if len(texts) > 64:
        raise Problem(400, "input has at most 64 texts.", param="input")
    decisions = [policy.inputs(text) if policy else Decision() for text in texts]
    return {
        "id": f"modr-{int(time.time() * 1000):x}",
        "model": "genloom-policy",
        "results": [result(decision) for decision in decisions],
    }


@router.post("/content_provenance_checks")
async def check(
    request: Request, file: UploadFile, beside: UploadFile | None = None
) -> dict[str, Any]:
    """What marks a file carries, or its sidecar for it, and whether this server made it."""
    allow(request, "generate")
    data, told = await file.read(), await beside.read() if beside else None
    return await run_in_threadpool(_checked, services(request), data, told)


def _checked(parts: Services, data: bytes, beside: bytes | None) -> dict[str, Any]:
    identity = parts.identity
    if looks_like_image(data[:16]):
        given.measure(data, "file")
    keys = verify.Keys()
    if identity is not None:
        lexicons = {one.items.lexicon for one in parts.models.values() if one.tokens}
        keys = verify.Keys(identity.secret, tester(identity.secret, lexicons))
    trust = identity.chain if identity else b""
    found = verify.check(data, keys=keys, trust=trust, beside=beside)
    known = parts.records.known(hashlib.sha256(data).hexdigest())
    record = {"type": "record", "outcome": "detected" if known else "not_detected"}
    return {
        "object": "content_provenance_check",
        "created_at": int(time.time()),
        "results": [*(_told(finding) for finding in found), record],
    }


def _told(finding: verify.Finding) -> dict[str, Any]:
    """In OpenAI's form where it has one, and in the same manner where it has none."""
    match finding:
        case verify.Signature():
            absent = finding.state in ("absent", "unchecked")
            return {
                "type": finding.carrier,
                "outcome": "not_detected" if absent else "detected",
                "validation_state": "not_present" if absent else finding.state,
                "issuer": finding.issuer or None,
                "model": finding.model or None,
                "generated_at": finding.made or None,
                "generation": dict(finding.generation),
                "problems": list(finding.problems),
            }
        case verify.Label():
            outcome = "not_detected" if finding.state == "absent" else "detected"
            fields = None if finding.aigc is None else asdict(finding.aigc)
            return {
                "type": "aigc_label",
                "outcome": outcome,
                "state": finding.state,
                "fields": fields,
            }
        case verify.Source():
            outcome = "detected" if finding.value else "not_detected"
            return {"type": "digital_source_type", "outcome": outcome, "value": finding.value}
        case verify.Watermark():
            score = finding.score
            return {
                "type": "watermark",
                "outcome": "detected" if score is not None and score.found else "not_detected",
                "score": None if score is None else asdict(score),
                "reason": finding.reason or None,
            }


@router.post("/audio/speech")
async def speech(request: Request) -> None:
    """No model here makes sound yet."""
    allow(request, "generate")
    raise Problem(400, "no model that is served can speak.", code="unsupported_model")
