"""The queue: order, leases, cancelling, dead workers."""

from __future__ import annotations

import threading

import pytest
from sqlalchemy import text

from genloom.errors import BadInput
from genloom.serve.store import Jobs, LeaseLost, NotFound, QueueFull, Store


@pytest.fixture
def jobs(store):
    return Jobs(store)


def three(jobs):
    return [jobs.add("ann", "generate", {"n": n}) for n in range(3)]


def test_a_job_runs_through_its_states(jobs, clock):
    added = jobs.add("ann", "generate", {"seed": 3, "words": "\u00e4\0\ud83d"})
    assert (added.state, added.attempts, added.lease) == ("queued", 0, None)
    clock.now += 1
    job = jobs.claim("w1", 10)
    assert job is not None
    assert (job.id, job.state, job.attempts, job.worker) == (added.id, "running", 1, "w1")
    assert (job.body, job.started) == (added.body, clock.now)
    assert jobs.beat(job, 0.5) is False
    assert jobs.get("ann", job.id).progress == 0.5
    clock.now += 1
    done = jobs.finish(job, result={"outputs": ["a"]})
    assert (done.state, done.progress, done.result) == ("succeeded", 1, {"outputs": ["a"]})
    assert (done.finished, done.lease, done.error) == (clock.now, None, None)
    assert jobs.get("ann", job.id) == done
    assert jobs.claim("w1", 10) is None


def test_the_oldest_is_first_and_kinds_are_chosen(jobs):
    a, b, c = three(jobs)
    train = jobs.add("bob", "train", {})
    assert jobs.ahead("bob", train.id) == 3
    assert jobs.ahead("bob", train.id, ["generate"]) == 3
    assert jobs.ahead("bob", train.id, ["train", "x"]) == 0
    assert jobs.claim("w", 9, kinds=["train"]).id == train.id
    assert [jobs.claim("w", 9).id for _ in range(3)] == [a.id, b.id, c.id]
    assert jobs.claim("w", 9, kinds=["train"]) is None
    assert jobs.ahead("bob", train.id) == 0


def test_the_place_of_a_deleted_job_is_not_given_again(jobs):
    def last_place():
        with jobs.store.reading() as connection:
            return connection.scalar(text("SELECT max(place) FROM jobs"))

    a, b, c = three(jobs)
    before = last_place()
    jobs.delete("ann", c.id)
    d = jobs.add("ann", "generate", {})
    assert last_place() == before + 1
    assert [job.id for job in jobs.page("ann").items] == [d.id, b.id, a.id]
    jobs.claim("w", 9)
    assert jobs.ahead("ann", d.id) == 1


def test_finish_counts_once(jobs):
    jobs.add("ann", "generate", {})
    job = jobs.claim("w", 10)
    jobs.finish(job, result={"n": 1})
    for _ in range(2):
        with pytest.raises(LeaseLost):
            jobs.finish(job, "failed", error="no")
        with pytest.raises(LeaseLost):
            jobs.beat(job, 0.1)
        with pytest.raises(LeaseLost):
            jobs.release(job)
    assert jobs.get("ann", job.id).result == {"n": 1}


def test_a_job_that_was_not_claimed_cannot_be_finished(jobs):
    a, b, _ = three(jobs)
    for job in (a, jobs.cancel("ann", b.id)):
        with pytest.raises(LeaseLost, match="not running"):
            jobs.finish(job)
    assert jobs.counts()["succeeded"] == 0


def test_a_silent_worker_loses_its_job_to_another(jobs, clock):
    a, b, _ = three(jobs)
    first = jobs.claim("w1", 10)
    clock.now += 10
    assert jobs.expired() == []  # until the lease is over
    assert jobs.beat(first, 0.5) is False
    clock.now += 10
    assert jobs.expired() == []  # the beat gave it as long again
    clock.now += 0.5
    assert [(j.id, j.state, j.progress) for j in jobs.expired()] == [(a.id, "queued", 0)]
    assert jobs.ahead("ann", b.id) == 1  # it has its old place
    second = jobs.claim("w2", 10)
    assert (second.id, second.attempts) == (a.id, 2)
    with pytest.raises(LeaseLost, match="no longer w1's"):
        jobs.finish(first, result={"by": "w1"})
    jobs.finish(second, result={"by": "w2"})
    assert jobs.get("ann", a.id).result == {"by": "w2"}


def test_a_job_that_kills_its_workers_fails(jobs, clock):
    a, *_ = three(jobs)
    for attempt in range(1, 4):
        assert jobs.claim("w", 10).attempts == attempt
        clock.now += 11
        [job] = jobs.expired()
        assert job.id == a.id
        assert job.state == ("failed" if attempt == 3 else "queued")
    assert job.error == "its worker died 3 times while doing it."
    assert job.finished == clock.now
    assert jobs.claim("w", 10).id != a.id


def test_cancelling_what_waits_is_immediate(jobs, clock):
    a, b, c = three(jobs)
    cancelled = jobs.cancel("ann", b.id)
    assert (cancelled.state, cancelled.finished) == ("cancelled", clock.now)
    assert [jobs.claim("w", 9).id for _ in range(2)] == [a.id, c.id]
    assert jobs.claim("w", 9) is None


def test_cancelling_what_runs_reaches_the_next_beat(jobs):
    jobs.add("ann", "generate", {})
    job = jobs.claim("w", 10)
    asked = jobs.cancel("ann", job.id)
    assert (asked.state, asked.cancelling) == ("running", True)
    assert jobs.beat(job, 0.2) is True
    ended = jobs.finish(job, "cancelled")
    assert (ended.state, ended.cancelling) == ("cancelled", False)
    assert jobs.cancel("ann", job.id) == ended  # which changes nothing


def test_a_cancelled_job_of_a_dead_worker_is_not_begun_again(jobs, clock):
    jobs.add("ann", "generate", {})
    job = jobs.claim("w", 10)
    jobs.cancel("ann", job.id)
    clock.now += 11
    [ended] = jobs.expired()
    assert (ended.state, ended.finished, ended.error) == ("cancelled", clock.now, None)
    assert jobs.claim("w", 10) is None


def test_a_released_job_has_its_place_and_its_attempts(jobs):
    a, *_ = three(jobs)
    job = jobs.claim("w1", 10)
    back = jobs.release(job)
    assert (back.state, back.attempts, back.lease) == ("queued", 0, None)
    again = jobs.claim("w1", 10)
    assert (again.id, again.attempts) == (a.id, 1)
    with pytest.raises(LeaseLost):
        jobs.beat(job, 0.1)


def test_a_released_job_that_was_being_cancelled_ends(jobs, clock):
    three(jobs)
    job = jobs.claim("w1", 10)
    jobs.beat(job, 0.4)
    jobs.cancel("ann", job.id)
    ended = jobs.release(job)
    assert (ended.state, ended.finished, ended.progress) == ("cancelled", clock.now, 0.4)


def test_a_full_queue_refuses(store):
    jobs = Jobs(store, most=2)
    jobs.add("ann", "generate", {})
    jobs.add("bob", "generate", {})
    with pytest.raises(QueueFull, match="2 jobs wait") as caught:
        jobs.add("ann", "generate", {})
    assert caught.value.retry_after_s > 0
    jobs.claim("w", 10)
    jobs.add("ann", "generate", {})


def test_adding_waits_for_whoever_adds(store):
    """Else two could both find the last place free, and places would not be in order."""
    jobs = Jobs(store, most=1)
    adding = threading.Thread(target=jobs.add, args=("ann", "generate", {}))
    with store.writing(lock="jobs"):
        adding.start()
        adding.join(0.3)
        assert adding.is_alive()
    adding.join()
    assert jobs.counts()["queued"] == 1


@pytest.mark.parametrize(
    "body", [{"x": float("nan")}, {"x": object()}, {"x": b""}, {"x": "y" * 2**20}]
)
def test_a_body_is_json_of_a_sensible_size(jobs, body):
    with pytest.raises(BadInput, match="body of a job"):
        jobs.add("ann", "generate", body)
    assert jobs.counts()["queued"] == 0


def test_bad_arguments_are_refused(jobs):
    three(jobs)
    job = jobs.claim("w", 1)
    for lease_s in (0, -1, float("nan")):
        with pytest.raises(BadInput, match="lease_s"):
            jobs.claim("w", lease_s)
    with pytest.raises(BadInput, match="does not end as 'queued'"):
        jobs.finish(job, "queued")
    with pytest.raises(BadInput, match="running"):
        jobs.delete("ann", job.id)
    for limit in (0, -1, 1001):
        with pytest.raises(BadInput, match="limit"):
            jobs.page("ann", limit=limit)
    failed = jobs.finish(job, "failed", error="a\0b\nc" + "x" * 2000)
    assert failed.error is not None
    assert failed.error[:5] == "a b c"
    assert len(failed.error) == 1000


def test_progress_stays_in_its_range(jobs):
    jobs.add("ann", "generate", {})
    job = jobs.claim("w", 1)
    for told, kept in ((-1, 0), (7, 1), (0.25, 0.25)):
        jobs.beat(job, told)
        assert jobs.get("ann", job.id).progress == kept


def test_pages_go_from_the_newest_to_the_oldest(jobs):
    mine = [jobs.add("ann", "generate", {"n": n}) for n in range(7)]
    jobs.add("bob", "generate", {})
    expected = [job.id for job in reversed(mine)]
    seen, after, more = [], None, True
    while more:
        page = jobs.page("ann", after=after, limit=3)
        seen += [job.id for job in page.items]
        after, more = seen[-1], page.more
        jobs.add("ann", "late", {})  # what comes later does not shift the pages
    assert seen == expected
    assert not jobs.page("ann", after=mine[0].id).items
    assert jobs.page("ann", limit=10).more is False


def test_ten_thousand_jobs_are_listed_by_their_index(store):
    row = {"id": "", "owner": "", "kind": "k", "body": "{}", "state": "queued"}
    insert = (
        "INSERT INTO jobs (id, owner, created, kind, body, state, progress, attempts, cancelling) "
        "VALUES (:id, :owner, 0, :kind, :body, :state, 0, 0, false)"
    )
    rows = [row | {"id": f"{n:026}", "owner": "ab"[n % 2]} for n in range(10_000)]
    with store.writing() as connection:
        connection.execute(text(insert), rows)
    with store.writing() as connection:
        connection.execute(text("ANALYZE"))
        explain = "EXPLAIN" + (" QUERY PLAN" if connection.dialect.name == "sqlite" else "")
        query = "SELECT * FROM jobs WHERE owner = 'a' AND place < 5000 ORDER BY place DESC LIMIT 20"
        plan = str(connection.execute(text(f"{explain} {query}")).all())
    assert "jobs_owner" in plan or "jobs_pkey" in plan
    assert "SCAN" not in plan.replace("Index Scan", "")
    assert len(Jobs(store).page("a", limit=1000).items) == 1000


def test_the_states_are_counted(jobs):
    _, b, _ = three(jobs)
    jobs.finish(jobs.claim("w", 9), "failed", error="x")
    jobs.cancel("ann", b.id)
    assert jobs.counts() == {
        "queued": 1,
        "running": 0,
        "succeeded": 0,
        "failed": 1,
        "cancelled": 1,
    }


def test_a_queue_outlives_its_store(url):
    with Store(url) as store:
        jobs = Jobs(store)
        a, b, c = three(jobs)
        jobs.finish(jobs.claim("w", 9), result={"n": 0})
    with Store(url) as store:
        jobs = Jobs(store)
        assert [job.id for job in jobs.page("ann").items] == [c.id, b.id, a.id]
        assert jobs.get("ann", a.id).result == {"n": 0}
        assert jobs.claim("w", 9).id == b.id
        jobs.delete("ann", a.id)
        with pytest.raises(NotFound):
            jobs.get("ann", a.id)
