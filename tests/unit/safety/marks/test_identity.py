"""Identities: made once, kept private, and led to their roots and to no others."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from genloom.errors import BadInput
from genloom.safety.marks import certificates, identity, sidecar
from genloom.safety.marks.identity import Identity

NOW = datetime.now(UTC)


def test_a_folder_is_made_once_and_only_its_owner_reads_it(tmp_path):
    folder = tmp_path / "a" / "identity"
    first = Identity.open(folder)
    assert folder.stat().st_mode & 0o777 == 0o700
    assert {f.stat().st_mode & 0o777 for f in folder.iterdir()} == {0o600}
    again = Identity.open(folder)
    assert (again.chain, again.secret) == (first.chain, first.secret)
    assert again.key_pem() == first.key_pem() and again.algorithm == "es256"
    assert [f.name for f in folder.parent.iterdir()] == ["identity"]
    assert first.secret not in repr(first).encode() and "key" not in repr(first)


def test_threads_that_start_at_once_agree(tmp_path):
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda _: Identity.open(tmp_path / "id"), range(8)))
    assert len({one.secret for one in found}) == 1


def test_keys_that_others_may_read_are_refused(tmp_path):
    Identity.open(tmp_path / "id")
    (tmp_path / "id" / identity.KEY).chmod(0o644)
    with pytest.raises(BadInput, match="chmod 600"):
        Identity.open(tmp_path / "id")
    (tmp_path / "empty").mkdir()
    with pytest.raises(BadInput, match=r"holds no chain\.pem"):
        Identity.open(tmp_path / "empty")


def test_the_operators_own_keys(tmp_path, installation):
    mine, _ = installation
    other = tmp_path / "rsa.key"
    form = (serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8)
    rsa_key = rsa.generate_private_key(65537, 2048)
    other.write_bytes(rsa_key.private_bytes(*form, serialization.NoEncryption()))
    chain = tmp_path / "chain.pem"
    chain.write_bytes(mine.chain)
    with pytest.raises(BadInput, match="cannot sign here"):
        Identity.from_pem(chain, other)
    key = tmp_path / "leaf.key"
    secret = serialization.BestAvailableEncryption(b"pass")
    key.write_bytes(mine.key.private_bytes(*form, secret))
    assert Identity.from_pem(chain, key, password=b"pass").chain == mine.chain
    for wrong in (None, b"word"):
        with pytest.raises(BadInput, match="cannot be read"):
            Identity.from_pem(chain, key, password=wrong)
    Identity.open(tmp_path / "id")
    with pytest.raises(BadInput, match="does not belong"):
        Identity.from_pem(chain, tmp_path / "id" / identity.KEY)
    with pytest.raises(BadInput):
        Identity.from_pem(tmp_path / "none.pem", key, password=b"pass")


def test_a_chain_leads_to_its_root_while_it_is_valid():
    now = datetime.now(UTC)  # a run of all tests lasts longer than clocks may differ
    root, _, leaf, _ = certificates.make("one")
    stranger, *_ = certificates.make("one")  # of the same name
    for chain in ([leaf], [leaf, root]):
        assert certificates.leads_to(chain, [root], now)
        assert not certificates.leads_to(chain, [stranger], now)
        assert not certificates.leads_to(chain, [], now)
        for days in (-1, certificates.LEAF_DAYS + 1):
            assert not certificates.leads_to(chain, [root], now + timedelta(days=days))
    assert certificates.leads_to([leaf], [leaf], now)


def test_a_leaf_cannot_issue():
    _, _, leaf, leaf_key = certificates.make("one")
    c = certificates.cryptography()
    child = certificates._certificate(c, "one", leaf_key, leaf_key.public_key(), "signer", 10)
    renamed = (
        c.x509.CertificateBuilder()
        .subject_name(child.subject)
        .issuer_name(leaf.subject)
        .public_key(leaf_key.public_key())
        .serial_number(1)
        .not_valid_before(NOW - timedelta(days=1))
        .not_valid_after(NOW + timedelta(days=1))
        .add_extension(c.x509.BasicConstraints(False, None), critical=True)
        .add_extension(child.extensions[1].value, critical=True)
        .sign(leaf_key, c.hashes.SHA256())
    )
    assert certificates._issued(c, renamed, leaf)  # the signature is right
    assert not certificates.leads_to([renamed], [leaf], NOW)


def test_ed25519_signs_a_sidecar_too(record, tmp_path):
    c = certificates.cryptography()
    key = c.ed25519.Ed25519PrivateKey.generate()
    _, root_key, *_ = certificates.make("ed")
    leaf = certificates._certificate(c, "ed", root_key, key.public_key(), "signer", 10)
    mine = Identity(leaf.public_bytes(serialization.Encoding.PEM), key)
    assert mine.algorithm == "ed25519"
    beside = sidecar.read(sidecar.write(b"abc", "text/csv", record, identity=mine))
    assert sidecar.problems(beside, b"abc", b"") == ([], "ed", False)
    beside["generation"]["seed"] = "8"
    assert sidecar.problems(beside, b"abc", b"")[0] == ["the signature does not fit the content"]
