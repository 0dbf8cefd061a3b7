import argparse
import json
import os
import signal
import subprocess
import sys
import threading
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random

import pytest
from clickhouse_connect.driver.client import Client

from sidecar.review import terminal
from sidecar.review.calls import ReadCall
from sidecar.review.follow import Follow
from tests import seed
from tests.ports import free_port
from tests.seeded import ROOT, Record

DEADLINE_S = 30.0


def options(*words: str) -> argparse.Namespace:
    """What the command line makes of ``words``."""
    parser = argparse.ArgumentParser()
    terminal.add_arguments(parser)
    return parser.parse_args(words)


def test_calls_are_listed_oldest_first(record: Record, capsys: pytest.CaptureFixture[str]) -> None:
    """`sidecar calls` ends with what happened last, where the eye is."""
    assert terminal.run(options("--limit", "3", "--since", "7d"), record.settings) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 5
    assert "blocked" in lines[-2]
    assert "secrets.out" in lines[-2]
    assert "redact" in lines[-1]


def test_filters_and_json_go_together(record: Record, capsys: pytest.CaptureFixture[str]) -> None:
    """A program asks for blocked calls of one tool and reads them line by line."""
    words = ("--format", "json", "--verdict", "block", "--server", "mail", "--tool", "send_email", "--limit", "1000")
    assert terminal.run(options(*words), record.settings) == 0
    told = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert told
    assert {(call["verdict"], call["server"], call["tool"]) for call in told} == {("block", "mail", "send_email")}
    assert str(seed.BLOCKED) in {call["call_id"] for call in told}


@pytest.mark.parametrize("form", ["text", "json"])
def test_hostile_names_do_nothing(record: Record, capsys: pytest.CaptureFixture[str], form: str) -> None:
    """A tool that calls itself an escape sequence is shown, not obeyed."""
    assert terminal.run(options("--format", form, "--tool", seed.HOSTILE_TEXT), record.settings) == 0
    out = capsys.readouterr().out
    assert "<script>" in out
    assert all(line.isprintable() for line in out.splitlines())


def test_nothing_found_says_what_to_do(empty_record: Record, capsys: pytest.CaptureFixture[str]) -> None:
    """On a fresh installation one is told how to see something."""
    assert terminal.run(options(), empty_record.settings) == 0
    out, err = capsys.readouterr()
    assert out == ""
    assert err == ("no calls since 24h match; look further back with --since, or send a call through the sidecar\n")


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("--since", "yesterday"), "--since: 'yesterday' is not a time; write for example 15m, 2h, 7d"),
        (("--limit", "0"), "--limit: 0 is not between 1 and 1000"),
    ],
)
def test_wrong_options_are_answered_in_one_line(
    record: Record, capsys: pytest.CaptureFixture[str], words: tuple[str, ...], told: str
) -> None:
    """A mistake on the command line names the option and what to write; the exit code is 2."""
    assert terminal.run(options(*words), record.settings) == 2
    err = capsys.readouterr().err
    assert told in err
    assert err.count("\n") == 1


def test_follow_shows_a_call_soon_after_it_is_stored(empty_record: Record, tmp_path: Path) -> None:
    """`sidecar calls --follow` prints what is there, then each call as it arrives, and ends quietly on Ctrl-C."""
    now = datetime.now(UTC)
    empty_record.insert({"calls": [seed.call_row(Random(1), now - timedelta(minutes=1), tool="before")]})
    command = [sys.executable, "-m", "sidecar", "calls", "--follow", "--format", "json", "-c", empty_record.settings.file]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as program:
        stop = threading.Timer(DEADLINE_S, program.kill)
        stop.start()
        try:
            assert program.stdout is not None
            assert json.loads(program.stdout.readline())["tool"] == "before"
            stored = time.monotonic()
            empty_record.insert({"calls": [seed.call_row(Random(2), now, tool="after")]})
            assert json.loads(program.stdout.readline())["tool"] == "after"
            assert time.monotonic() - stored < 5
            program.send_signal(2)
            assert program.stdout.read() == ""
            assert program.stderr is not None
            assert program.stderr.read() == ""
            assert program.wait() == 0
        finally:
            stop.cancel()
            program.kill()


def test_ctrl_c_waits_for_the_look_that_is_under_way(empty_record: Record, monkeypatch: pytest.MonkeyPatch) -> None:
    """An interrupted client may hold a lock for ever, so it is not interrupted; the command ends right after."""
    looked = []

    def poll(follow: Follow, client: Client, now: datetime) -> list[ReadCall]:
        signal.raise_signal(signal.SIGINT)
        looked.append(now)
        return []

    monkeypatch.setattr(Follow, "poll", poll)
    before = signal.getsignal(signal.SIGINT)
    assert terminal.run(options("--follow"), empty_record.settings) == 0
    assert len(looked) == 1
    assert signal.getsignal(signal.SIGINT) is before


def test_a_closed_pipe_is_no_error(record: Record) -> None:
    """`sidecar calls | head -1` ends without a word."""
    command = [sys.executable, "-m", "sidecar", "calls", "--limit", "1000", "--format", "json", "-c", record.settings.file]
    reading, writing = os.pipe()
    os.close(reading)
    with subprocess.Popen(command, cwd=ROOT, stdout=writing, stderr=subprocess.PIPE, text=True) as program:
        os.close(writing)
        _, err = program.communicate(timeout=DEADLINE_S)
    assert (program.returncode, err) == (0, "")


def test_no_record_is_one_clear_error(tmp_path: Path) -> None:
    """Without a collector the command says what to start, and its exit code is 2."""
    from tests.seeded import write_settings

    settings = write_settings(tmp_path, free_port())
    command = [sys.executable, "-m", "sidecar", "calls", "-c", settings.file]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=DEADLINE_S, check=False)
    assert done.returncode == 2
    assert done.stdout == ""
    assert "sidecar collect" in done.stderr
    assert "Traceback" not in done.stderr
