"""What marks a file carries, and how far each can be believed; hostile bytes make no error here.

A signature that is trusted proves who marked this content (a C2PA manifest has padding of its own,
which nothing covers). One that is only valid proves that nobody changed it since, not who marked
it. A label is a claim that anybody can write, unless its seal fits the key. A watermark has a
p-value. Absence of marks proves nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal, final

from genloom.data.decode import decode
from genloom.data.findings import one_line, printable
from genloom.errors import BadInput, MissingExtra
from genloom.safety.marks import image, labels, manifest, media, sidecar
from genloom.safety.marks.apply import LABEL_PURPOSE
from genloom.safety.marks.keyed import Score, derive
from genloom.safety.marks.labels import Aigc

LONGEST = 200  # characters of a foreign text that is passed on


@final
@dataclass(frozen=True)
class Keys:
    """What the checker knows.

    Args:
        secret: Of the installation, for image watermarks and sealed labels; b"" for none.
        text: Tests a text for a watermark, such as `tokens.detect` after a model's lexicon.
    """

    secret: bytes = b""
    text: Callable[[str], Score] | None = None


@final
@dataclass(frozen=True)
class Signature:
    """A C2PA manifest or a signed sidecar.

    Args:
        carrier: Where it stands.
        state: "trusted": intact and led to a trusted root. "valid": intact, signer unknown.
            "invalid": changed since, or broken. "unsigned": a sidecar that fits but is not signed.
            "absent". "unchecked": the package that reads it is missing.
        issuer: Who signed, as the certificate says.
        generation: What the signer says of the origin: model, seed, recipe, made and others.
        source: The digital source type that the signer states.
        problems: What failed, as codes or one line each.
    """

    carrier: Literal["c2pa", "sidecar"]
    state: Literal["trusted", "valid", "invalid", "unsigned", "absent", "unchecked"]
    issuer: str = ""
    generation: tuple[tuple[str, str], ...] = ()
    source: str = ""
    problems: tuple[str, ...] = ()

    @property
    def model(self) -> str:
        """SHA-256 of the model's weights, as the signer says; "" if he does not."""
        return dict(self.generation).get("model", "")

    @property
    def made(self) -> str:
        """When, as the signer claims; no time-stamping authority confirms it."""
        return dict(self.generation).get("made", "")


@final
@dataclass(frozen=True)
class Label:
    """The AIGC label of GB 45438-2025.

    Args:
        state: "sealed": written by the holder of the key, if perhaps for another file: compare its
            ProduceID with the signed or logged one. "present": a claim. "malformed": there
            is something that the standard does not allow. "absent".
        aigc: Its fields.
        problem: Why it is malformed.
    """

    state: Literal["sealed", "present", "malformed", "absent"]
    aigc: Aigc | None = None
    problem: str = ""


@final
@dataclass(frozen=True)
class Source:
    """IPTC's digital source type in the metadata: a claim; "" if absent."""

    value: str = ""

    @property
    def says_ai(self) -> bool:
        """Whether it is the term for media made by a trained model."""
        return self.value == labels.TRAINED


@final
@dataclass(frozen=True)
class Watermark:
    """The test for the watermark of the key; `reason` says why there is no score."""

    score: Score | None = None
    reason: str = ""


Finding = Signature | Label | Source | Watermark


def check(
    data: bytes, *, keys: Keys | None = None, trust: bytes = b"", beside: bytes | None = None
) -> list[Finding]:
    """Every mark of a file, found or not: one signature or two, label, source, watermark.

    Args:
        data: The whole file; its type is told by its bytes.
        keys: For watermarks and seals.
        trust: Root certificates, PEM.
        beside: The content of its sidecar.

    Raises:
        BadInput: `trust` or `keys` are unusable; never because of `data` or `beside`.
    """
    keys = keys or Keys()
    if keys.secret:
        derive(keys.secret, LABEL_PURPOSE)
    if trust:
        manifest.check_anchors(trust)
    kind = media.sniff(data)
    found: list[Finding] = []
    if kind in media.EMBEDS:
        found.append(_manifest(data, kind, trust))
    told, problem = _told(data, kind)
    if beside is not None or kind not in media.EMBEDS:
        signature, extra = _sidecar(data, beside, trust)
        found.append(signature)
        told = extra | told
    return [*found, _label(told.get("AIGC"), problem, keys), _source(told), _mark(data, kind, keys)]


def _manifest(data: bytes, kind: str, trust: bytes) -> Signature:
    try:
        content = manifest.read(data, kind, trust)
    except MissingExtra as error:
        return Signature("c2pa", "unchecked", problems=(str(error),))
    except BadInput as error:
        return Signature("c2pa", "invalid", problems=(_short(error),))
    if content is None:
        return Signature("c2pa", "absent")
    active = _table(_table(content, "manifests"), str(content.get("active_manifest")))
    assertions = active.get("assertions")
    data_of = {
        str(a.get("label")): _table(a, "data")
        for a in (assertions if isinstance(assertions, list) else [])
        if isinstance(a, dict)
    }
    actions = data_of.get("c2pa.actions.v2", {}).get("actions")
    first = actions[0] if isinstance(actions, list) and actions else {}
    source = first.get("digitalSourceType", "") if isinstance(first, dict) else ""
    states = {"Trusted": "trusted", "Valid": "valid"}
    failures = _table(_table(content, "validation_results"), "activeManifest").get("failure")
    return Signature(
        "c2pa",
        states.get(str(content.get("validation_state")), "invalid"),  # pyright: ignore
        _short(_table(active, "signature_info").get("issuer", "")),
        _pairs(data_of.get(manifest.ASSERTION, {})),
        _short(source),
        tuple(
            _short(f.get("code", ""))
            for f in (failures if isinstance(failures, list) else [])
            if isinstance(f, dict)
        ),
    )


def _sidecar(data: bytes, beside: bytes | None, trust: bytes) -> tuple[Signature, dict[str, Any]]:
    """The finding, and the labels that the sidecar holds."""
    if beside is None:
        return Signature("sidecar", "absent"), {}
    try:
        content = sidecar.read(beside)
        wrong, issuer, trusted = sidecar.problems(content, data, trust)
    except MissingExtra as error:
        return Signature("sidecar", "unchecked", problems=(str(error),)), {}
    except BadInput as error:
        return Signature("sidecar", "invalid", problems=(_short(error),)), {}
    state = "trusted" if trusted else "valid"
    if wrong:
        state = "unsigned" if wrong == [sidecar.UNSIGNED] else "invalid"
    told = {name: content[name] for name in ("AIGC", "DigitalSourceType") if name in content}
    generation = _pairs(_table(content, "generation"))
    source = _short(told.get("DigitalSourceType", ""))
    problems = tuple(_short(text) for text in wrong)
    found = Signature("sidecar", state, _short(issuer), generation, source, problems)
    return found, {} if state == "invalid" else told


def _told(data: bytes, kind: str) -> tuple[dict[str, Any], str]:
    try:
        return dict(labels.read(data, kind)), ""
    except BadInput as error:
        return {}, _short(error)


def _label(content: Any, problem: str, keys: Keys) -> Label:
    if content is None:
        return Label("malformed" if problem else "absent", problem=problem)
    try:
        aigc = labels.loads(content) if isinstance(content, str) else labels.parse(content)
    except BadInput as error:
        return Label("malformed", problem=_short(error))
    sealed = bool(keys.secret) and aigc.sealed_by(derive(keys.secret, LABEL_PURPOSE))
    return Label("sealed" if sealed else "present", aigc)


def _source(told: dict[str, Any]) -> Source:
    return Source(_short(told.get("DigitalSourceType", "")))


def _mark(data: bytes, kind: str, keys: Keys) -> Watermark:
    if kind == "text/plain":
        if keys.text is None:
            return Watermark(reason="no test of texts was given")
        try:
            return Watermark(keys.text(data.decode("utf-8")))
        except BadInput as error:
            return Watermark(reason=_short(error))
    if kind not in media.IMAGES:
        return Watermark(reason="no watermark is known for this type of file")
    if not keys.secret:
        return Watermark(reason="no key was given")
    try:
        pixels = decode(data, "the picture", [])
        grey = len(pixels) == 1
        return Watermark(
            image.detect(pixels[0] if grey else pixels.transpose(1, 2, 0), keys.secret)
        )
    except BadInput as error:
        return Watermark(reason=_short(error))


def _table(content: dict[str, Any], name: str) -> dict[str, Any]:
    value = content.get(name)
    return value if isinstance(value, dict) else {}


def _pairs(content: dict[str, Any]) -> tuple[tuple[str, str], ...]:
    return tuple((_short(k), _short(v)) for k, v in sorted(content.items())[:32])


def _short(value: object) -> str:
    text = one_line(value) if isinstance(value, BaseException) else str(value)
    return printable(text[:LONGEST])
