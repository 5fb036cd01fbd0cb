"""The store opens old, new, foreign and shared databases as it should."""

from __future__ import annotations

import sqlite3
import stat
import subprocess
import sys
import threading
from contextlib import closing
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from sqlalchemy import insert, inspect, text
from sqlalchemy.exc import IntegrityError

from genloom.errors import BadInput
from genloom.serve.store import Blobs, Jobs, Records, Store, database, tables
from genloom.serve.store.tables import metadata, usage

ROOT = Path(__file__).parents[4]
NEWEST = "0004"


def test_the_migrations_make_the_tables(store):
    with store.reading() as connection:
        context = MigrationContext.configure(connection)
        assert compare_metadata(context, metadata) == []
        assert context.get_current_revision() == NEWEST


def test_opening_again_keeps_what_is_there(url):
    with Store(url) as store:
        job = Jobs(store).add("ann", "generate", {"n": 1})
    with Store(url) as store:
        assert Jobs(store).get("ann", job.id) == job


def test_a_database_of_the_first_version_keeps_its_records(url, tmp_path, monkeypatch):
    blobs, upgrade = Blobs(tmp_path / "blobs"), database.command.upgrade
    monkeypatch.setattr(database.command, "upgrade", lambda config, _: upgrade(config, "0001"))
    old = dict.fromkeys(("model", "data", "recipe", "kind", "media_type", "sha256"), "x")
    old |= {"id": "a" * 26, "owner": "ann", "seed": "7", "state": "free", "created": 1.0}
    old |= {"options": {}, "software": {}, "blob": blobs.put(b"bytes")}
    with Store(url) as store, store.writing() as connection:
        connection.execute(insert(tables.records).values(old))
    monkeypatch.undo()
    with Store(url) as store:
        records = Records(store, blobs)
        record = records.get("ann", "a" * 26)
        assert (record.origin.seed, record.report, record.plain_sha256) == (7, None, None)
        assert records.content("ann", record.id) == b"bytes"
        records.delete("ann", record.id)


def test_a_newer_version_is_an_error_and_nothing_changes(url):
    with Store(url) as store, store.writing() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    for _ in range(2):
        with pytest.raises(BadInput, match=rf"has version 9999.*knows versions up to {NEWEST}"):
            Store(url)


def test_many_processes_open_a_new_database_at_once(url):
    code = "import sys; from genloom.serve.store import Store; Store(sys.argv[1]).close()"
    command = [sys.executable, "-c", code, url]
    many = [subprocess.Popen(command, cwd=ROOT, stderr=subprocess.PIPE) for _ in range(4)]
    assert [(p.communicate()[1], p.returncode) for p in many] == [(b"", 0)] * 4


def test_a_block_that_raises_leaves_nothing(store):
    jobs = Jobs(store)
    with pytest.raises(ZeroDivisionError), store.writing() as connection:
        connection.execute(text("DROP TABLE batches"))
        raise ZeroDivisionError
    with store.reading() as connection:
        assert "batches" in inspect(connection).get_table_names()
    assert jobs.counts()["queued"] == 0


def test_foreign_keys_are_checked(store):
    orphan = {"key": "nobody", "tokens": 0, "filled": 0, "day": 0, "samples": 0}
    with pytest.raises(IntegrityError), store.writing() as connection:
        connection.execute(insert(usage).values(orphan))


def test_sqlite_keeps_a_log_and_syncs_and_is_private(tmp_path):
    path = tmp_path / "new" / "100%" / "store.db"
    with Store(path) as store, store.reading() as connection:
        pragma = {
            name: connection.exec_driver_sql(f"PRAGMA {name}").scalar()
            for name in ("journal_mode", "synchronous", "busy_timeout", "foreign_keys")
        }
        files = list(path.parent.iterdir())
    assert pragma == {
        "journal_mode": "wal",
        "synchronous": 2,
        "busy_timeout": 30_000,
        "foreign_keys": 1,
    }
    assert len(files) == 3
    assert all(stat.S_IMODE(file.stat().st_mode) == 0o600 for file in files if file.exists())


def test_only_what_need_not_last_is_written_without_waiting_for_the_disk(store, backend):
    names = {"sqlite": "PRAGMA synchronous", "postgresql": "SHOW synchronous_commit"}
    lasting, fleeting = {"sqlite": (2, 1), "postgresql": ("on", "off")}[backend]
    for how, wanted in ((False, fleeting), (True, lasting), (False, fleeting), (True, lasting)):
        with store.writing(lasting=how) as connection:  # the same connection, again and again
            assert connection.exec_driver_sql(names[backend]).scalar() == wanted
    with store.writing() as connection:
        assert connection.exec_driver_sql(names[backend]).scalar() == lasting


def test_a_file_that_another_process_is_turning_is_waited_for(tmp_path):
    path = tmp_path / "store.db"
    with closing(sqlite3.connect(path, check_same_thread=False)) as other:
        other.execute("CREATE TABLE x (y)")
        other.execute("DROP TABLE x")
        other.execute("BEGIN IMMEDIATE")
        timer = threading.Timer(0.3, other.commit)
        timer.start()
        Store(path).close()
        timer.join()


def test_a_reader_does_not_wait_for_a_writer(store):
    jobs = Jobs(store)
    with store.writing() as connection:
        connection.execute(text("DELETE FROM jobs"))
        assert jobs.page("ann").items == []


def test_writers_that_read_first_wait_for_each_other(store):
    """SQLite fails at once when a transaction that has read wants to write after another did."""
    together = threading.Barrier(4)
    counts = []

    def add_one() -> None:
        together.wait()
        for _ in range(10):
            with store.writing(lock="count") as connection:
                n = connection.scalar(text("SELECT count(*) FROM usage_log"))
                connection.execute(text("INSERT INTO usage_log VALUES (:n)"), {"n": n})
                counts.append(n)

    with store.writing() as connection:
        connection.execute(text("CREATE TABLE usage_log (n INTEGER)"))
    threads = [threading.Thread(target=add_one) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(counts) == list(range(40))


@pytest.mark.parametrize(
    "url",
    [
        "mysql://x/y",
        "sqlite://",
        "sqlite:///:memory:",
        "://",
        "postgresql://x:y/z",
        "sqlite:///x?mode=memory",
    ],
)
def test_other_databases_are_refused(url):
    with pytest.raises(BadInput):
        Store(url)


def test_a_file_that_is_no_database_is_left_alone(tmp_path):
    path = tmp_path / "notes.txt"
    path.write_text("dear diary " * 100)
    with pytest.raises(BadInput, match="not a database"):
        Store(path)
    assert path.read_text() == "dear diary " * 100
    with pytest.raises(BadInput, match="cannot be opened"):
        Store(tmp_path)


def test_a_database_out_of_reach_is_named_without_its_password(tmp_path):
    pytest.importorskip("psycopg")
    with pytest.raises(BadInput, match=r"ann:\*\*\*@/x") as caught:
        Store(f"postgresql://ann:hunter2@/x?host={tmp_path}")
    assert "hunter2" not in str(caught.value)


def test_a_killed_writer_leaves_no_half(url):
    code = (
        "import os, sys; from genloom.serve.store import *; from sqlalchemy import text\n"
        "store = Store(sys.argv[1]); Jobs(store).add('ann', 'x', {})\n"
        "with store.writing() as c:\n"
        "    c.execute(text('DELETE FROM jobs')); os.kill(os.getpid(), 9)\n"
    )
    done = subprocess.run([sys.executable, "-c", code, url], cwd=ROOT)
    assert done.returncode == -9
    with Store(url) as store:
        assert len(Jobs(store).page("ann").items) == 1
    if url.startswith("sqlite"):
        with closing(sqlite3.connect(url.removeprefix("sqlite:///"))) as connection:
            assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
