"""The certificates of an installation: a root of its own and a leaf that signs.

The profile is that of C2PA 2.x, section 14.5: extended key usage emailProtection, key usage
digitalSignature, authority and subject key identifiers, ECDSA over P-256.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from genloom.errors import BadInput, need

ROOT_DAYS, LEAF_DAYS = 3650, 1095
_USAGES = (
    "digital_signature",
    "content_commitment",
    "key_encipherment",
    "data_encipherment",
    "key_agreement",
    "key_cert_sign",
    "crl_sign",
    "encipher_only",
    "decipher_only",
)


def cryptography() -> Any:
    """The parts of the optional package `cryptography` that sign and verify.

    Raises:
        MissingExtra: It is not installed.
    """
    try:
        from cryptography import exceptions, x509
        from cryptography.hazmat.primitives import hashes, serialization
        from cryptography.hazmat.primitives.asymmetric import ec, ed25519
    except ImportError as error:
        raise need("cryptography", "marks", "signing") from error
    return _Parts(exceptions, x509, hashes, serialization, ec, ed25519)


class _Parts:
    def __init__(self, *modules: Any):
        self.exceptions, self.x509, self.hashes, self.serialization, self.ec, self.ed25519 = modules


def make(name: str) -> tuple[Any, Any, Any, Any]:
    """A root and a leaf that it issued: root, root key, leaf, leaf key.

    Args:
        name: Of the installation, as its signatures show it.
    """
    c = cryptography()
    root_key = c.ec.generate_private_key(c.ec.SECP256R1())
    leaf_key = c.ec.generate_private_key(c.ec.SECP256R1())
    common = (c, name, root_key)
    root = _certificate(*common, root_key.public_key(), "root", ROOT_DAYS)
    leaf = _certificate(*common, leaf_key.public_key(), "signer", LEAF_DAYS)
    return root, root_key, leaf, leaf_key


def _certificate(c: Any, name: str, issuer_key: Any, public: Any, role: str, days: int) -> Any:
    x509, is_root = c.x509, role == "root"
    start = datetime.now(UTC) - timedelta(minutes=5)  # clocks of verifiers differ a little
    usages = dict.fromkeys(_USAGES, False)
    usages |= {"key_cert_sign": is_root, "crl_sign": is_root, "digital_signature": not is_root}
    builder = (
        x509.CertificateBuilder()
        .subject_name(_name(x509, name, role))
        .issuer_name(_name(x509, name, "root"))
        .public_key(public)
        .serial_number(x509.random_serial_number())
        .not_valid_before(start)
        .not_valid_after(start + timedelta(days=days))
        .add_extension(x509.BasicConstraints(is_root, 0 if is_root else None), critical=True)
        .add_extension(x509.KeyUsage(**usages), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(public), critical=False)
    )
    if not is_root:
        identifier = x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer_key.public_key())
        email = x509.ExtendedKeyUsage([x509.oid.ExtendedKeyUsageOID.EMAIL_PROTECTION])
        builder = builder.add_extension(identifier, critical=False)
        builder = builder.add_extension(email, critical=False)
    return builder.sign(issuer_key, c.hashes.SHA256())


def _name(x509: Any, name: str, role: str) -> Any:
    oid = x509.oid.NameOID
    return x509.Name(
        [
            x509.NameAttribute(oid.ORGANIZATION_NAME, name),
            x509.NameAttribute(oid.COMMON_NAME, f"{name} {role}"),
        ]
    )


def read_chain(pem: bytes) -> list[Any]:
    """Certificates from PEM, in order.

    Raises:
        BadInput: They cannot be read.
    """
    try:
        return cryptography().x509.load_pem_x509_certificates(pem)
    except ValueError as error:
        raise BadInput(f"these are no certificates in PEM: {error}.") from error


def organization(certificate: Any) -> str:
    """Who a certificate says its holder is: organization, else common name, else ""."""
    oid = cryptography().x509.oid.NameOID
    for kind in (oid.ORGANIZATION_NAME, oid.COMMON_NAME):
        for attribute in certificate.subject.get_attributes_for_oid(kind):
            return str(attribute.value)
    return ""


def leads_to(chain: list[Any], anchors: list[Any], now: datetime) -> bool:
    """Whether a chain reaches an anchor, each valid now, fit for its part, issued by the next."""
    c = cryptography()
    path = [*chain]
    for anchor in anchors:
        if anchor in path:
            path = path[: path.index(anchor)]
            break
    for i, certificate in enumerate(path):
        if not certificate.not_valid_before_utc <= now <= certificate.not_valid_after_utc:
            return False
        if not _may(c, certificate, issue=i > 0):
            return False
        if i + 1 < len(path) and not _issued(c, certificate, path[i + 1]):
            return False
    if not path:  # the leaf itself is an anchor
        return chain[0].not_valid_before_utc <= now <= chain[0].not_valid_after_utc
    return any(
        _issued(c, path[-1], anchor)
        and _may(c, anchor, issue=True)
        and anchor.not_valid_before_utc <= now <= anchor.not_valid_after_utc
        for anchor in anchors
    )


def _issued(c: Any, certificate: Any, issuer: Any) -> bool:
    try:
        certificate.verify_directly_issued_by(issuer)
    except (ValueError, TypeError, c.exceptions.InvalidSignature):
        return False
    return True


def _may(c: Any, certificate: Any, *, issue: bool) -> bool:
    """Whether its extensions allow it to issue certificates, or else to sign content."""
    try:
        usage = certificate.extensions.get_extension_for_class(c.x509.KeyUsage).value
        basic = certificate.extensions.get_extension_for_class(c.x509.BasicConstraints).value
    except (ValueError, c.x509.ExtensionNotFound, c.x509.DuplicateExtension):
        return False
    return basic.ca and usage.key_cert_sign if issue else usage.digital_signature
