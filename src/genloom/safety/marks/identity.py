"""Who signs: the keys of an installation, made once into a folder, or its operator's own."""

from __future__ import annotations

import os
import secrets
import shutil
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, final

from genloom.errors import BadInput
from genloom.safety.marks import certificates
from genloom.safety.marks.certificates import cryptography, read_chain

CHAIN, KEY, ROOT, ROOT_KEY, SECRET = "chain.pem", "leaf.key", "root.pem", "root.key", "secret.key"
ALGORITHMS = {"secp256r1": "es256", "secp384r1": "es384", "secp521r1": "es512"}


@final
@dataclass(frozen=True)
class Identity:
    """An installation's signing key, its certificates and its secret for watermarks.

    Args:
        chain: PEM, the leaf first; what verifiers trust is its last certificate, or that one's
            issuer.
        key: The leaf's private key: ECDSA over P-256, P-384 or P-521, or Ed25519.
        secret: At least 16 random bytes, for watermarks and sealed labels; b"" for none.
    """

    chain: bytes
    key: Any = field(repr=False)
    secret: bytes = field(default=b"", repr=False)

    def __post_init__(self) -> None:
        c = cryptography()
        encoding = (c.serialization.Encoding.DER, c.serialization.PublicFormat.SubjectPublicKeyInfo)
        _ = self.algorithm
        leaf = read_chain(self.chain)[0].public_key()
        if leaf.public_bytes(*encoding) != self.key.public_key().public_bytes(*encoding):
            raise BadInput("the private key does not belong to the first certificate of the chain.")

    @classmethod
    def open(cls, folder: str | Path, *, name: str = "genloom installation") -> Identity:
        """The identity in a folder; a new one is made there if the folder is absent.

        Args:
            folder: Of mode 0700, its keys of mode 0600.
            name: Of a new installation, as its signatures show it.

        Raises:
            BadInput: The folder holds something else, or keys that others may read.
        """
        folder = Path(folder)
        if not folder.exists():
            _create(folder, name)
        for file in (CHAIN, KEY, SECRET):
            if not (folder / file).is_file():
                raise BadInput(f"{folder} holds no {file}. Give another folder for a new identity.")
        for file in (KEY, SECRET):
            mode = (folder / file).stat().st_mode & 0o077
            if mode and os.name == "posix":
                raise BadInput(f"others may read {folder / file}. Run: chmod 600 {folder / file}")
        return cls.from_pem(folder / CHAIN, folder / KEY, secret=(folder / SECRET).read_bytes())

    @classmethod
    def from_pem(
        cls, chain: Path, key: Path, *, password: bytes | None = None, secret: bytes = b""
    ) -> Identity:
        """The operator's own certificates and key.

        Args:
            chain: PEM, the leaf first.
            key: PEM.
            password: Of the key.
            secret: For watermarks and sealed labels.

        Raises:
            BadInput: A file cannot be read, or the key is of another kind or certificate.
        """
        load = cryptography().serialization.load_pem_private_key
        try:
            private, certificate = load(key.read_bytes(), password), chain.read_bytes()
        except (OSError, ValueError, TypeError) as error:
            raise BadInput(f"{key} or {chain} cannot be read: {error}.") from error
        return cls(certificate, private, secret)

    @property
    def algorithm(self) -> str:
        """As C2PA names it: es256, es384, es512 or ed25519."""
        c = cryptography()
        if isinstance(self.key, c.ed25519.Ed25519PrivateKey):
            return "ed25519"
        curve = self.key.curve.name if isinstance(self.key, c.ec.EllipticCurvePrivateKey) else ""
        if curve not in ALGORITHMS:
            raise BadInput(f"{type(self.key).__name__} cannot sign here: use P-256 or Ed25519.")
        return ALGORITHMS[curve]

    def key_pem(self) -> bytes:
        """The private key as PKCS 8, for the native library."""
        s = cryptography().serialization
        return self.key.private_bytes(s.Encoding.PEM, s.PrivateFormat.PKCS8, s.NoEncryption())


def _create(folder: Path, name: str) -> None:
    """Make an identity aside and rename it; of two that do so at once, one stays."""
    s = cryptography().serialization
    root, root_key, leaf, leaf_key = certificates.make(name)
    key_form = (s.Encoding.PEM, s.PrivateFormat.PKCS8, s.NoEncryption())
    leaf_pem, root_pem = leaf.public_bytes(s.Encoding.PEM), root.public_bytes(s.Encoding.PEM)
    files = {
        CHAIN: leaf_pem + root_pem,
        ROOT: root_pem,
        KEY: leaf_key.private_bytes(*key_form),
        ROOT_KEY: root_key.private_bytes(*key_form),
        SECRET: secrets.token_bytes(32),
    }
    folder.parent.mkdir(parents=True, exist_ok=True)
    aside = folder.parent / f".{folder.name}.{os.getpid()}.{secrets.token_hex(4)}"
    aside.mkdir(mode=0o700)
    try:
        for file, content in files.items():
            handle = os.open(aside / file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with os.fdopen(handle, "wb") as out:
                out.write(content)
                out.flush()
                os.fsync(out.fileno())
        try:
            aside.rename(folder)
        except OSError:
            if not (folder / KEY).is_file():  # not the other one's identity
                raise
    finally:
        shutil.rmtree(aside, ignore_errors=True)
