"""JSON lines of the session's events."""

import json
import sys
from pathlib import Path

import pytest

from bot.errors import DiskError
from bot.eventlog import EventLog, to_line
from bot.events import Event, Failed, FirstAudio, Interrupted, Transcribed, TurnMetrics


@pytest.mark.parametrize(
    ("event", "fields"),
    [
        (Transcribed(3, "héllo", "en"), {"event": "transcript", "text": "héllo", "language": "en", "dropped": ""}),
        (FirstAudio(3), {"event": "first_audio"}),
        (Interrupted(3, "Sure, git"), {"event": "interrupted", "heard": "Sure, git"}),
        (Failed(3, "busy", "Wait."), {"event": "error", "code": "busy", "message": "Wait."}),
        (TurnMetrics(3, {"stt_ms": 12.5}), {"event": "turn_metrics", "stt_ms": 12.5}),
    ],
)
def test_a_line_has_time_turn_event_and_fields(event: Event, fields: dict[str, object]) -> None:
    assert json.loads(to_line(event, 1.23456789)) == {"t": 1.2346, "turn": 3, **fields}


def test_lines_can_be_read_while_the_session_runs(tmp_path: Path) -> None:
    log = EventLog(tmp_path / "deep" / "events.jsonl", lambda: 0.5)
    log(FirstAudio(1))
    lines = (tmp_path / "deep" / "events.jsonl").read_text(encoding="utf-8").splitlines()
    assert [json.loads(line)["event"] for line in lines] == ["first_audio"]
    log.close()


def test_a_folder_that_cannot_be_written_is_said_before_the_session(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("", encoding="utf-8")
    with pytest.raises(DiskError, match="name another file"):
        EventLog(tmp_path / "file" / "events.jsonl", lambda: 0.0)


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="needs /dev/full")
def test_a_full_disk_costs_the_file_and_not_the_session(caplog: pytest.LogCaptureFixture) -> None:
    log = EventLog(Path("/dev/full"), lambda: 0.0)
    for turn in range(3):
        log(FirstAudio(turn))
    log.close()
    said = [r.message for r in caplog.records if r.message.startswith("No more events are written to /dev/full")]
    assert len(said) == 1
