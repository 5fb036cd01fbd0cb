"""Keys: shown once, checked fast, limited, revoked at once."""

from __future__ import annotations

import hashlib
import hmac
import threading

import pytest
from sqlalchemy import text

from genloom.errors import BadInput
from genloom.serve.store import Keys, NotFound, QuotaSpent, Store, TooFast, pepper
from genloom.serve.store import keys as module

PEPPER = bytes(range(32))


@pytest.fixture
def keys(store):
    return Keys(store, PEPPER)


def stored(store: Store) -> str:
    """All that the tables of keys hold."""
    with store.reading() as connection:
        return str([*connection.execute(text("SELECT * FROM keys"))])


def test_a_key_opens_with_its_secret_alone(keys):
    ann, secret = keys.make("ann", ["train", "generate"], per_minute=5, per_day=9)
    bob, other = keys.make("bob", {"admin"})
    assert (ann.scopes, ann.per_minute, ann.per_day) == (["generate", "train"], 5, 9)
    assert keys.authenticate(secret) == ann
    assert keys.authenticate(other) == bob != ann
    assert bob.scopes == ["admin"]  # which includes no other
    changed = secret[:-2] + ("A" if secret[-2] != "A" else "B") + secret[-1]
    for wrong in ("", "gl-", secret[:-1], secret + "A", secret.upper(), changed, f"{secret}\n"):
        assert keys.authenticate(wrong) is None


@pytest.mark.parametrize("wrong", ["\0", "\ud800" * 46, "gl-" + "\u00e9" * 43, "gl-" + "%" * 43])
def test_odd_secrets_are_just_wrong(keys, wrong):
    assert keys.authenticate(wrong) is None


def test_what_is_stored_does_not_open(keys, store):
    _, secret = keys.make("ann", ["admin"])
    assert len(secret) == 46
    assert secret.startswith("gl-")
    assert secret not in stored(store)
    assert secret[3:] not in stored(store)
    assert hashlib.sha256(secret.encode()).hexdigest() not in stored(store)
    assert hmac.new(PEPPER, secret.encode(), "sha256").hexdigest() in stored(store)
    assert secret not in repr(keys.all())
    assert Keys(store, bytes(32)).authenticate(secret) is None


def test_the_last_word_is_a_comparison_in_constant_time(keys, monkeypatch):
    _, secret = keys.make("ann", ["admin"])
    monkeypatch.setattr(module.hmac, "compare_digest", lambda *_: False)
    assert keys.authenticate(secret) is None


def test_revoking_is_immediate_and_leaves_the_name_free(keys, store, clock):
    ann, secret = keys.make("ann", ["generate"])
    elsewhere = Keys(store, PEPPER)
    assert elsewhere.authenticate(secret) == ann
    clock.now += 5
    assert keys.revoke("ann").revoked == clock.now
    assert elsewhere.authenticate(secret) is None
    with pytest.raises(NotFound):
        keys.revoke("ann")
    again, secret = keys.make("ann", ["generate"])
    assert keys.authenticate(secret) == again
    assert [(key.name, key.revoked is None) for key in keys.all()] == [
        ("ann", False),
        ("ann", True),
    ]


@pytest.mark.parametrize(
    ("name", "scopes", "limit"),
    [
        ("", ["admin"], None),
        ("a\nb", ["admin"], None),
        ("../x", ["admin"], None),
        ("a" * 65, ["admin"], None),
        ("ann", [], None),
        ("ann", ["root"], None),
        ("ann", "admin", None),
        ("ann", ["admin"], 0),
        ("ann", ["admin"], 10**10),
    ],
)
def test_bad_keys_are_refused(keys, name, scopes, limit):
    with pytest.raises(BadInput):
        keys.make(name, scopes, per_day=limit)
    assert keys.all() == []


def test_two_live_keys_have_two_names(keys):
    keys.make("ann", ["admin"])
    with pytest.raises(BadInput, match="'ann' already"):
        keys.make("ann", ["generate"])


def test_the_bucket_empties_and_fills_evenly(keys, clock):
    key, _ = keys.make("ann", ["generate"], per_minute=6)
    assert [keys.spend(key, 1).requests for _ in range(6)] == [5, 4, 3, 2, 1, 0]
    with pytest.raises(TooFast, match="6 requests a minute") as caught:
        keys.spend(key, 1)
    assert caught.value.retry_after_s == pytest.approx(10)
    clock.now += 4
    with pytest.raises(TooFast) as caught:
        keys.spend(key, 1)
    assert caught.value.retry_after_s == pytest.approx(6)  # the refusal cost nothing
    clock.now += caught.value.retry_after_s + 1e-3
    assert keys.spend(key, 1).requests == 0
    clock.now += 3600
    assert keys.spend(key, 1).requests == 5  # it holds no more than a minute's
    clock.now -= 7200
    assert keys.spend(key, 1).requests == 4  # a clock put back gives nothing
    clock.now += 7200
    assert keys.spend(key, 1).requests == 3


def test_the_quota_counts_samples_and_ends_at_midnight(keys, clock):
    key, _ = keys.make("ann", ["generate"], per_day=10)
    clock.now = 86_400 * 20_000 + 86_400 - 600.0
    assert keys.spend(key, 4).samples == 6
    with pytest.raises(QuotaSpent, match="has 6 left") as caught:
        keys.spend(key, 7)
    assert caught.value.retry_after_s == pytest.approx(600)
    assert keys.spend(key, 6).samples == 0
    with pytest.raises(QuotaSpent):
        keys.spend(key, 1)
    clock.now += 600
    assert keys.spend(key, 10).samples == 0


def test_what_no_day_allows_is_an_error_rather_than_a_wait(keys):
    key, _ = keys.make("ann", ["generate"], per_day=10)
    for samples in (11, -1, 10**30):
        with pytest.raises(BadInput):
            keys.spend(key, samples)
    assert keys.spend(key, 10).samples == 0


def test_a_request_over_the_quota_takes_no_token(keys):
    key, _ = keys.make("ann", ["generate"], per_minute=2, per_day=10)
    keys.spend(key, 8)
    for _ in range(5):
        with pytest.raises(QuotaSpent):
            keys.spend(key, 3)
    assert keys.spend(key, 1) == module.Left(0, 1)


def test_keys_are_limited_one_by_one(keys):
    ann, _ = keys.make("ann", ["generate"], per_minute=1)
    bob, _ = keys.make("bob", ["generate"], per_minute=1)
    free, _ = keys.make("free", ["generate"])
    keys.spend(ann, 1)
    with pytest.raises(TooFast):
        keys.spend(ann, 1)
    assert keys.spend(bob, 1).requests == 0
    assert [keys.spend(free, 10**6) for _ in range(9)] == [module.Left(None, None)] * 9


def test_threads_cannot_spend_twice(keys):
    key, _ = keys.make("ann", ["generate"], per_minute=20, per_day=15)
    answers: list[object] = []

    def spend() -> None:
        for _ in range(5):
            try:
                answers.append(keys.spend(key, 1).samples)
            except QuotaSpent:
                answers.append(None)

    threads = [threading.Thread(target=spend) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(a for a in answers if a is not None) == list(range(15))
    assert answers.count(None) == 15


def test_the_pepper_is_made_once_and_private(tmp_path):
    path = tmp_path / "private" / "pepper"
    first = pepper(path, served=[tmp_path / "blobs"])
    assert pepper(path) == first
    assert len(first) == 32
    assert path.stat().st_mode & 0o777 == 0o600
    assert pepper(tmp_path / "other") != first
    assert [file.name for file in path.parent.iterdir()] == ["pepper"]


def test_a_pepper_that_others_can_read_is_refused(tmp_path):
    path = tmp_path / "pepper"
    pepper(path)
    path.chmod(0o640)
    with pytest.raises(BadInput, match=r"mode 640.*chmod 600"):
        pepper(path)
    path.chmod(0o600)
    path.write_bytes(b"short")
    with pytest.raises(BadInput, match="5 bytes"):
        pepper(path)


def test_a_pepper_within_a_served_folder_is_refused(tmp_path):
    served, link = tmp_path / "blobs", tmp_path / "link"
    served.mkdir()
    link.symlink_to(served)
    for path in (served / "pepper", link / "x" / "pepper", tmp_path / "a" / ".." / "blobs" / "p"):
        with pytest.raises(BadInput, match="is served"):
            pepper(path, served=[served])
    assert list(served.iterdir()) == []


def test_threads_make_one_pepper(tmp_path):
    found: list[bytes] = []
    threads = [
        threading.Thread(target=lambda: found.append(pepper(tmp_path / "pepper"))) for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 8
    assert len(set(found)) == 1


def test_whether_some_key_is_in_force(keys):
    assert not keys.any()
    keys.make("one", ["generate"])
    assert keys.any()
    keys.revoke("one")
    assert not keys.any()


def test_what_is_left_of_a_day_is_checked_without_being_spent(keys, clock):
    key, _ = keys.make("one", ["generate"], per_minute=1, per_day=5)
    keys.spend(key, 3)
    for _ in range(3):
        keys.check(key, 2)
    with pytest.raises(QuotaSpent, match="has 2 left") as caught:
        keys.check(key, 3)
    assert 0 < caught.value.retry_after_s <= module.DAY_S
    with pytest.raises(BadInput, match="5 a day"):
        keys.check(key, 6)
    clock.now += module.DAY_S
    keys.check(key, 5)
    keys.check(keys.make("two", ["generate"])[0], 10**6)
