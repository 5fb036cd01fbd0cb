"""What a run says: a line for people, one object a line for machines."""

from __future__ import annotations

import io
import json

import pytest

from genloom.progress import Journal, Progress, duration


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(
    ("seconds", "text"), [(4.4, "4s"), (59.6, "1m00s"), (185, "3m05s"), (7800, "2h10m")]
)
def test_durations_read_well(seconds, text):
    assert duration(seconds) == text


def test_a_log_gets_plain_lines_and_few_of_them():
    out = io.StringIO()
    progress = Progress(100, "digits-flow", out)
    for step in range(1, 101):
        progress.update(step, "| flow 0.5")
    lines = out.getvalue().splitlines()
    assert len(lines) <= 3 and "\x1b" not in out.getvalue() and "\r" not in out.getvalue()
    assert lines[-1].startswith("digits-flow 100% 100/100") and "flow 0.5" in lines[-1]


def test_a_terminal_gets_one_line_that_renews_itself(monkeypatch):
    monkeypatch.setenv("TERM", "xterm")
    out = Terminal()
    progress = Progress(10, "x", out)
    for step in range(1, 11):
        progress.update(step)
    progress.close()
    assert out.getvalue().count("\n") == 1 and "\r\x1b[K" in out.getvalue()


def test_time_left_counts_from_where_a_resumed_run_began(monkeypatch):
    clock = iter([0.0, 100.0, 200.0, 200.0])
    monkeypatch.setattr("genloom.progress.time.monotonic", lambda: next(clock))
    out = io.StringIO()
    progress = Progress(100, "x", out)
    progress.update(50)
    progress.update(60)
    assert out.getvalue().splitlines()[-1] == "x  60% 60/100 6m40s left"


def test_quiet_is_quiet():
    out = io.StringIO()
    Progress(2, "x", out, quiet=True).update(2)
    assert out.getvalue() == ""


def test_a_journal_goes_on_where_the_checkpoint_stands(tmp_path):
    path = tmp_path / "metrics.jsonl"
    journal = Journal(path, 0)
    for step in range(5):
        journal.log(step, {"loss": 1.0 / (1 + step)})
    journal.close()
    with path.open("a") as file:
        file.write('{"step": 5, "lo')  # cut short by a kill
    again = Journal(path, 2)
    again.log(3, {"loss": 9.0})
    again.close()
    assert [line["step"] for line in Journal.read(path)] == [0, 1, 2, 3]
    assert Journal.read(path)[-1] == {"step": 3, "loss": 9.0}


def test_a_journal_never_holds_a_nan(tmp_path):
    journal = Journal(tmp_path / "metrics.jsonl", 0)
    with pytest.raises(ValueError, match="not JSON compliant"):
        journal.log(1, {"loss": float("nan")})
    journal.close()


def test_tensorboard_gets_the_same_numbers(tmp_path):
    accumulator = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    journal = Journal(tmp_path / "metrics.jsonl", 0, tmp_path / "tensorboard")
    journal.log(1, {"loss": 0.5, "note": "text is for the journal alone"})
    journal.close()
    events = accumulator.EventAccumulator(str(tmp_path / "tensorboard"))
    events.Reload()
    assert [e.value for e in events.Scalars("loss")] == [0.5]
    assert json.loads((tmp_path / "metrics.jsonl").read_text())["loss"] == 0.5
