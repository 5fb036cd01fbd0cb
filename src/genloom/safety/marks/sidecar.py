"""The marks of a file that can carry none inside, in a JSON file beside it, bound by its hash."""

from __future__ import annotations

import base64
import hashlib
import json
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any

from genloom.errors import BadInput
from genloom.safety.marks import certificates
from genloom.safety.marks.identity import Identity
from genloom.safety.marks.labels import TRAINED, Aigc
from genloom.safety.marks.record import Record

FORMAT = 1
LARGEST = 2**18  # bytes of a sidecar that is read
LONGEST_CHAIN = 8
UNSIGNED = "the sidecar is not signed"


def write(
    data: bytes,
    media_type: str,
    record: Record,
    *,
    aigc: Aigc | None = None,
    identity: Identity | None = None,
) -> bytes:
    """The sidecar of a file.

    Args:
        data: The file, as it leaves.
        media_type: Of it.
        record: Its origin.
        aigc: Its label.
        identity: Who signs; None leaves the sidecar unsigned.
    """
    content: dict[str, Any] = {
        "genloom_marks": FORMAT,
        "media_type": media_type,
        "sha256": hashlib.sha256(data).hexdigest(),
        "generation": record.told(),
    }
    if aigc:
        content |= {"AIGC": asdict(aigc), "DigitalSourceType": TRAINED}
    if identity:
        content |= {"algorithm": identity.algorithm, "chain": identity.chain.decode("ascii")}
        content["signature"] = base64.b64encode(_sign(_canonical(content), identity)).decode()
    return json.dumps(content, indent=1).encode("ascii") + b"\n"


def read(sidecar: bytes) -> dict[str, Any]:
    """What a sidecar says, unverified.

    Raises:
        BadInput: It is not one of ours.
    """
    if len(sidecar) > LARGEST:
        raise BadInput(f"the sidecar has {len(sidecar)} bytes: at most {LARGEST} are read.")
    try:
        content = json.loads(sidecar)
    except (ValueError, RecursionError) as error:
        raise BadInput(f"the sidecar is no JSON: {error}.") from error
    if not isinstance(content, dict) or content.get("genloom_marks") != FORMAT:
        raise BadInput(f"the sidecar is not of genloom's format {FORMAT}.")
    return content


def problems(content: dict[str, Any], data: bytes, anchors: bytes) -> tuple[list[str], str, bool]:
    """What is wrong with a sidecar's claim on a file, who signed it, and whether he is trusted.

    Args:
        content: From `read`.
        data: The file that it lies beside.
        anchors: Root certificates to trust, PEM; b"" for none.
    """
    if content.get("sha256") != hashlib.sha256(data).hexdigest():
        return ["the file is not the one that was marked: its hash differs"], "", False
    if "signature" not in content:
        return [UNSIGNED], "", False
    unsigned = {name: value for name, value in content.items() if name != "signature"}
    try:
        signature = base64.b64decode(content["signature"], validate=True)
        chain = certificates.read_chain(str(content.get("chain", "")).encode("ascii"))
        message = _canonical(unsigned)
    except (ValueError, TypeError, RecursionError) as error:
        return [f"the signature cannot be read: {error}"], "", False
    if not 1 <= len(chain) <= LONGEST_CHAIN:
        return [f"the chain has {len(chain)} certificates"], "", False
    if not _verified(chain[0], content.get("algorithm"), signature, message):
        return ["the signature does not fit the content"], "", False
    issuer = certificates.organization(chain[0])
    roots = certificates.read_chain(anchors) if anchors else []
    return [], issuer, certificates.leads_to(chain, roots, datetime.now(UTC))


def _canonical(content: dict[str, Any]) -> bytes:
    return json.dumps(content, sort_keys=True, separators=(",", ":")).encode("ascii")


def _hash(algorithm: Any) -> Any:
    hashes = certificates.cryptography().hashes
    known = {"es256": hashes.SHA256, "es384": hashes.SHA384, "es512": hashes.SHA512}
    return known[algorithm]() if algorithm in known else None


def _sign(message: bytes, identity: Identity) -> bytes:
    digest = _hash(identity.algorithm)
    if digest is None:
        return identity.key.sign(message)  # Ed25519
    return identity.key.sign(message, certificates.cryptography().ec.ECDSA(digest))


def _verified(leaf: Any, algorithm: Any, signature: bytes, message: bytes) -> bool:
    c = certificates.cryptography()
    try:
        public = leaf.public_key()
        digest = _hash(algorithm) if isinstance(algorithm, str) else None
        if isinstance(public, c.ed25519.Ed25519PublicKey) and algorithm == "ed25519":
            public.verify(signature, message)
        elif isinstance(public, c.ec.EllipticCurvePublicKey) and digest is not None:
            public.verify(signature, message, c.ec.ECDSA(digest))
        else:
            return False
    except (c.exceptions.InvalidSignature, c.exceptions.UnsupportedAlgorithm, ValueError):
        return False
    return True
