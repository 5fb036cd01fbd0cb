"""C2PA manifests: what an item says of its origin, signed and bound to every byte of its file.

C2PA 2.x through c2pa-python. No thumbnail (it would multiply the size of a picture), no remote
manifest, no time-stamping authority: the time in the record is the producer's own claim.
"""

from __future__ import annotations

import io
import json
from typing import Any

from genloom import __version__
from genloom.errors import BadInput, need
from genloom.safety.marks.certificates import read_chain
from genloom.safety.marks.identity import Identity
from genloom.safety.marks.labels import TRAINED
from genloom.safety.marks.media import EMBEDS
from genloom.safety.marks.record import Record

ASSERTION = "org.genloom.generation"
OFFLINE = {"remote_manifest_fetch": False, "ocsp_fetch": False, "verify_trust": True}


def c2pa() -> Any:
    """The optional package c2pa.

    Raises:
        MissingExtra: It is not installed.
    """
    try:
        import c2pa
    except ImportError as error:
        raise need("c2pa-python", "marks", "a C2PA manifest") from error
    return c2pa


def definition(record: Record) -> dict[str, Any]:
    """The manifest before it is signed."""
    agent = {"name": "genloom", "version": record.genloom or __version__}
    action = {"action": "c2pa.created", "digitalSourceType": TRAINED, "softwareAgent": agent}
    return {
        "claim_generator_info": [agent],
        "title": record.id,
        "assertions": [
            {"label": "c2pa.actions.v2", "data": {"actions": [action]}},
            {"label": ASSERTION, "data": record.told()},
        ],
    }


def embed(data: bytes, media_type: str, record: Record, identity: Identity) -> bytes:
    """The file with a signed manifest inside.

    Raises:
        BadInput: The type carries no manifest, or the library refuses the file or the chain.
        MissingExtra: c2pa-python is not installed.
    """
    if media_type not in EMBEDS:
        raise BadInput(f"{media_type} carries no manifest; sign a sidecar for it.")
    lib = c2pa()
    settings = {"builder": {"thumbnail": {"enabled": False}}, "verify": OFFLINE}
    info = lib.C2paSignerInfo(identity.algorithm, identity.chain, identity.key_pem(), None)
    out = io.BytesIO()
    try:
        signer = lib.Signer.from_info(info)
        with (
            lib.Context.from_dict(settings, signer=signer) as context,
            lib.Builder(definition(record), context=context) as builder,
        ):
            builder.sign(media_type, io.BytesIO(data), out)
    except lib.C2paError as error:
        raise BadInput(f"the {media_type} cannot be signed: {error}.") from error
    return out.getvalue()


def check_anchors(anchors: bytes) -> None:
    """See that root certificates can be read, before any file is looked at.

    Raises:
        BadInput: They are no certificates in PEM.
        MissingExtra: cryptography is not installed.
    """
    read_chain(anchors)


def read(data: bytes, media_type: str, anchors: bytes) -> dict[str, Any] | None:
    """What the library says of a file's manifest, or None where there is none.

    Args:
        data: The whole file.
        media_type: As its bytes tell.
        anchors: Root certificates to trust, PEM; b"" for none.

    Raises:
        BadInput: There is a manifest that cannot be read.
        MissingExtra: c2pa-python is not installed.
    """
    lib = c2pa()
    settings: dict[str, Any] = {"verify": OFFLINE}
    if anchors:
        settings["trust"] = {"user_anchors": anchors.decode("ascii")}
    try:
        with (
            lib.Context.from_dict(settings) as context,
            lib.Reader(media_type, io.BytesIO(data), context=context) as reader,
        ):
            return json.loads(reader.json())
    except lib.C2paError.ManifestNotFound:
        return None
    except (lib.C2paError, ValueError, RecursionError) as error:
        raise BadInput(f"the manifest cannot be read: {error}.") from error
