"""What a user can get wrong gives one clear message and exit code 2, never a traceback."""

import os
import signal
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests import compiled
from tests.e2e.conftest import ROOT, Installation, is_open, until
from tests.ports import free_port


def run(folder: Path, *arguments: str, **environ: str) -> tuple[int, str]:
    done = subprocess.run(
        [sys.executable, "-m", "sidecar", *arguments],
        capture_output=True, text=True, timeout=60, cwd=folder, check=False,
        env={**os.environ, "PYTHONPATH": str(ROOT), **environ},
    )  # fmt: skip
    return done.returncode, done.stdout + done.stderr


def settings(folder: Path, **known: str) -> Path:
    compiled.lend(folder / "data")
    values = {"policies": str(ROOT / "policies"), "data": str(folder / "data"), **known}
    lines = [f"{name}: {value}" for name, value in values.items()]
    server = f"  - {{name: a, listen: '127.0.0.1:{free_port()}', upstream: 'http://127.0.0.1:1'}}"
    if "servers" not in known:
        lines = ["servers:", server, *lines]
    lines += [f"reader: 127.0.0.1:{free_port()}", f"page: 127.0.0.1:{free_port()}"]
    (folder / "sidecar.yaml").write_text("\n".join(lines) + "\n")
    return folder


def assert_clear(code: int, output: str, *words: str) -> None:
    assert code == 2, output
    assert "Traceback" not in output
    for word in words:
        assert word in output
    assert len(output.strip().splitlines()) <= 4, f"more than one message: {output}"


def test_a_settings_file_that_is_not_there(tmp_path: Path) -> None:
    """The message names the file and how to name another."""
    assert_clear(*run(tmp_path, "proxy"), "sidecar.yaml", "-c FILE")


def test_a_misspelt_setting(tmp_path: Path) -> None:
    """File, line, column, what was found and what was meant."""
    settings(tmp_path, polices="x")
    assert_clear(*run(tmp_path, "proxy"), "sidecar.yaml:5:1", "did you mean 'policies'?")


def test_a_port_that_is_taken(tmp_path: Path) -> None:
    """The address, and what to do."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        server = f"[{{name: a, listen: '127.0.0.1:{taken.getsockname()[1]}', upstream: 'http://127.0.0.1:1'}}]"
        settings(tmp_path, servers=server)
        assert_clear(*run(tmp_path, "proxy"), "already in use", "'listen'")


@pytest.mark.parametrize("program", ["collect", "review"])
def test_a_port_of_ours_that_is_taken(tmp_path: Path, program: str) -> None:
    """The record's endpoint and the page say so too."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        settings(tmp_path)
        file = tmp_path / "sidecar.yaml"
        name = {"collect": "reader", "review": "page"}[program]
        lines = [line for line in file.read_text().splitlines() if not line.startswith(name)]
        file.write_text("\n".join([*lines, f"{name}: 127.0.0.1:{taken.getsockname()[1]}"]))
        assert_clear(*run(tmp_path, program), f"127.0.0.1:{taken.getsockname()[1]}", f"'{name}:'")


def test_a_policy_folder_that_is_none(tmp_path: Path) -> None:
    """A missing folder, and a file where a folder should be."""
    settings(tmp_path, policies="nowhere")
    assert_clear(*run(tmp_path, "proxy"), "nowhere")
    (tmp_path / "file").touch()
    settings(tmp_path, policies="file")
    assert_clear(*run(tmp_path, "proxy"), "file")


def test_policies_that_are_wrong_stop_the_start(tmp_path: Path) -> None:
    """Without valid policies nothing is passed on: the proxy does not start, and says where the mistake is."""
    (tmp_path / "rules").mkdir()
    (tmp_path / "rules" / "a.yaml").write_text("version: 1\npolicy: a\nowner: x@y.example\ndescription: d\nmode: enforced\n")
    settings(tmp_path, policies="rules")
    assert_clear(*run(tmp_path, "proxy"), "a.yaml:5:7", "did you mean 'enforce'?")


@pytest.mark.parametrize("program", ["proxy", "collect"])
def test_a_data_folder_that_cannot_be_written(tmp_path: Path, program: str) -> None:
    """The folder and what to do."""
    (tmp_path / "file").touch()
    settings(tmp_path, data="file/data")
    assert_clear(*run(tmp_path, program), "cannot be written", "'data:'")


def test_a_clickhouse_that_refuses_the_password(sidecar: Installation, tmp_path: Path) -> None:
    """The message speaks of the password and does not contain it; a server that is not there is another message."""
    settings(tmp_path, store=f"clickhouse://sidecar@127.0.0.1:{sidecar.reader_port}/sidecar")
    code, output = run(tmp_path, "collect", SIDECAR_STORE_PASSWORD="wrong-pass-word")
    assert_clear(code, output, "password", "SIDECAR_STORE_PASSWORD")
    assert "wrong-pass-word" not in output


def test_up_runs_everything_and_leaves_nothing_behind(another: Any) -> None:
    """One command starts all three; Ctrl-C stops them in order; a killed one leaves no orphan."""
    installation: Installation = another()
    ports = (installation.port, installation.reader_port, installation.page_port)
    program = installation.command("up")
    until(lambda: all(map(is_open, ports)) or program.process.poll() is not None, "everything to listen")
    until(lambda: "sidecar  ready: " in program.output, "the short list")
    assert (
        f"http://127.0.0.1:{installation.port}" in program.output
        and f"page: http://127.0.0.1:{installation.page_port}" in program.output
    )
    assert program.stop(signal.SIGINT) == 0
    assert (
        program.output.index("proxy stopped") < program.output.index("collect stopped") < program.output.index("review stopped")
    )
    assert "Traceback" not in program.output
    program = installation.command("up", name="again")
    until(lambda: all(map(is_open, ports)) or program.process.poll() is not None, "everything to listen again")
    os.kill(program.process.pid, signal.SIGKILL)
    program.process.wait(60)
    until(lambda: not any(map(is_open, ports)), "the children to stop themselves")


def test_up_restarts_what_dies(another: Any) -> None:
    """A collector that is killed is back by itself."""
    installation: Installation = another()
    program = installation.command("up")
    until(lambda: is_open(installation.reader_port) or program.process.poll() is not None, "the collector")
    children = subprocess.run(
        ["pgrep", "-P", str(program.process.pid), "-f", "sidecar collect"], capture_output=True, text=True, check=False
    )
    (pid,) = children.stdout.split()
    os.kill(int(pid), signal.SIGKILL)
    until(lambda: "collect ended" in program.output, "the notice")
    until(lambda: is_open(installation.reader_port), "the collector again")
    assert program.stop(signal.SIGTERM) == 0
