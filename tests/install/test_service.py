"""``sidecar service``: real files in a home folder of the test's own.

No user manager of systemd runs in a test environment, and launchd is macOS's alone. So the boundary is a stand-in program on
PATH, which writes down what it is asked and remembers what is enabled and active; the unit files themselves are read by
systemd's own ``systemd-analyze``, and one test asks the real ``systemctl``, without a manager to reach.
"""

import os
import plistlib
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from sidecar.errors import SettingsError
from sidecar.install import executable, service, service_files
from sidecar.wrap import socket_path
from tests.install.conftest import Home

STAND_IN = """#!/bin/sh
# Remembers in its folder what it was asked, and what is enabled and active; fails at what the file `fails` names.
cd "$(dirname "$0")"
echo "$*" >> asked
if [ -f fails ] && echo " $* " | grep -q " $(cat fails) "; then echo "refused by the manager" >&2; exit 1; fi
case " $* " in
*" enable "*) touch enabled;;
*" disable "*) rm -f enabled active;;
*" restart "*|*" bootstrap "*) touch active;;
*" bootout "*) rm -f active;;
*" is-enabled "*) if [ -f enabled ]; then echo enabled; else echo disabled; exit 1; fi;;
*" is-active "*|*" print "*) if [ -f active ]; then echo active; else echo inactive; exit 3; fi;;
esac
"""
UNIT = ".config/systemd/user/mcp-sidecar.service"
AGENT = "Library/LaunchAgents/mcp-sidecar.plist"


class StandIn:
    """The stand-in for ``systemctl`` or ``launchctl`` in a folder of its own."""

    def __init__(self, folder: Path, name: str) -> None:
        self.folder = folder
        folder.mkdir()
        (folder / name).write_text(STAND_IN)
        (folder / name).chmod(0o755)

    def asked(self) -> list[str]:
        """What it was asked since the last time."""
        file = self.folder / "asked"
        lines = file.read_text().splitlines() if file.exists() else []
        file.unlink(missing_ok=True)
        return lines

    def fail_at(self, word: str) -> None:
        (self.folder / "fails").write_text(word)

    def state(self) -> set[str]:
        return {name for name in ("enabled", "active") if (self.folder / name).exists()}


@pytest.fixture
def systemctl(home: Home, monkeypatch: pytest.MonkeyPatch) -> StandIn:
    stand_in = StandIn(home.path / "bin", "systemctl")
    monkeypatch.setenv("PATH", f"{stand_in.folder}:{os.environ['PATH']}")
    return stand_in


@pytest.fixture
def launchctl(home: Home, monkeypatch: pytest.MonkeyPatch) -> StandIn:
    stand_in = StandIn(home.path / "bin", "launchctl")
    monkeypatch.setenv("PATH", f"{stand_in.folder}:{os.environ['PATH']}")
    monkeypatch.setattr("sys.platform", "darwin")
    return stand_in


def files(home: Home) -> set[str]:
    """The files and folders of the home folder, without the stand-in's."""
    return {str(each.relative_to(home.path)) for each in home.path.rglob("*") if "bin" not in each.parts}


def test_a_unit_is_written_enabled_and_started(home: Home, systemctl: StandIn) -> None:
    """After `service install` the sidecar runs and starts at every login; `uninstall` removes all of it."""
    before = {name: each for name, each in home.snapshot().items() if not name.startswith("bin/")}
    done = home.run("service", "install")
    assert (done.code, done.err) == (0, "") and "at login" in done.out and "started now" in done.out
    assert systemctl.asked() == [
        "--user is-active mcp-sidecar.service",
        "--user daemon-reload",
        "--user enable mcp-sidecar.service",
        "--user restart mcp-sidecar.service",
    ]
    unit = (home.path / UNIT).read_text()
    assert f'"up" "-c" "{home.settings}"\n' in unit and "WantedBy=default.target" in unit
    assert home.run("service", "status").code == 0
    systemctl.asked()
    assert home.run("service", "uninstall").code == 0
    assert systemctl.asked() == ["--user disable --now mcp-sidecar.service", "--user daemon-reload"]
    assert systemctl.state() == set()
    after = home.snapshot()
    assert {name: each for name, each in after.items() if not name.startswith("bin/")} == before
    assert home.run("service", "uninstall").code == 0, "once more there is nothing to remove"
    assert home.run("service", "status").code == 1


def test_dry_run_prints_the_file_alone(home: Home, systemctl: StandIn) -> None:
    """`--dry-run` gives on stdout exactly the file that would be written, touches nothing, and says what would be run."""
    before = files(home)
    done = home.run("service", "install", "--dry-run")
    assert files(home) == before and systemctl.asked() == []
    assert "systemctl --user enable mcp-sidecar.service" in done.err and str(home.path / UNIT) in done.err
    home.run("service", "install")
    assert (home.path / UNIT).read_text() == done.out


@pytest.mark.parametrize("step", ["daemon-reload", "enable", "restart"])
def test_a_step_that_fails_leaves_nothing_behind(home: Home, systemctl: StandIn, step: str) -> None:
    """When systemd refuses, neither file nor link nor folder stays, and the commands to run by hand are named."""
    before = files(home)
    systemctl.fail_at(step)
    done = home.run("service", "install")
    assert done.code == 2 and "refused by the manager" in done.err and "Nothing was changed" in done.err
    assert files(home) == before and systemctl.state() == set()
    by_hand = [line.strip() for line in done.err.splitlines() if line.startswith("  ")]
    steps = ["daemon-reload", "enable mcp-sidecar.service", "restart mcp-sidecar.service"]
    assert by_hand[1:] == [f"systemctl --user {each}" for each in steps]
    assert "up -c" in done.err.splitlines()[-1]


def test_what_is_named_to_run_by_hand_works(home: Home, systemctl: StandIn) -> None:
    """The commands that are named after a refusal do, run in a shell, what `service install` would have done."""
    systemctl.fail_at("enable")
    done = home.run("service", "install")
    (systemctl.folder / "fails").unlink()
    by_hand = " && ".join(line.strip() for line in done.err.splitlines() if line.startswith("  "))
    root = Path(service.__file__).parents[2]
    subprocess.run(by_hand, shell=True, check=True, timeout=60, env={**os.environ, "PYTHONPATH": str(root)})
    assert systemctl.state() == {"enabled", "active"}
    assert home.run("service", "status").code == 0 and home.run("service", "uninstall").code == 0


def test_a_failed_change_keeps_the_old_service(home: Home, systemctl: StandIn, tmp_path: Path) -> None:
    """When systemd refuses the new settings file, the service is as it was before, and runs."""
    home.run("service", "install")
    unit = (home.path / UNIT).read_text()
    other = tmp_path / "other.yaml"
    other.write_text("servers: []\n")
    systemctl.fail_at("enable")
    assert home.run("service", "install", "-c", str(other)).code == 2
    assert (home.path / UNIT).read_text() == unit and systemctl.state() == {"enabled", "active"}
    (systemctl.folder / "fails").unlink()
    assert home.run("service", "install", "-c", str(other)).code == 0
    assert str(other) in (home.path / UNIT).read_text()


def test_no_systemctl_means_nothing_is_written(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without systemd nothing is touched, and the message says how to start the sidecar."""
    monkeypatch.setenv("PATH", str(home.path / "empty"))
    before = files(home)
    done = home.run("service", "install")
    assert done.code == 2 and "it is not on PATH" in done.err and "Without a service: " in done.err
    assert files(home) == before
    assert "systemctl is not on PATH" in home.run("service", "status").out


@pytest.mark.skipif(not shutil.which("systemctl"), reason="systemctl is not installed here")
def test_the_real_systemctl_without_a_manager(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    """As root in a container or over sudo, systemctl reaches no user manager: it says so, and nothing stays."""
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(home.path / "none"))
    monkeypatch.setenv("DBUS_SESSION_BUS_ADDRESS", f"unix:path={home.path / 'none' / 'bus'}")
    before = files(home)
    done = home.run("service", "install")
    assert done.code == 2 and "systemctl --user daemon-reload' failed: " in done.err
    assert files(home) == before


def test_settings_that_do_not_load_are_no_service(home: Home, systemctl: StandIn) -> None:
    """A service is only made of settings that load."""
    home.settings.write_text("servers: {\n")
    assert home.run("service", "install").code == 2
    assert systemctl.asked() == [] and not (home.path / UNIT).exists()


@pytest.mark.parametrize("text", ["[Service]\nExecStart=/bin/true\n", ""])
def test_an_edited_or_foreign_file_is_left_alone(home: Home, systemctl: StandIn, text: str) -> None:
    """A unit that somebody edited, or wrote, is neither overwritten nor removed; the commands for it are named."""
    if not text:
        home.run("service", "install")
        text = (home.path / UNIT).read_text().replace("RestartSec=10", "RestartSec=1")
    home.put(UNIT, text)
    systemctl.asked()
    for action in ("install", "uninstall"):
        done = home.run("service", action)
        assert done.code == 1 and "left as it is" in done.err and f"rm {home.path / UNIT}" in done.err
    assert (home.path / UNIT).read_text() == text and systemctl.asked() == []


def test_a_refused_stop_keeps_the_file(home: Home, systemctl: StandIn) -> None:
    """When systemd does not stop the service, its file stays, and what to run is named."""
    home.run("service", "install")
    systemctl.fail_at("disable")
    done = home.run("service", "uninstall")
    assert done.code == 2 and f"rm {home.path / UNIT}" in done.err and (home.path / UNIT).exists()


def test_a_sidecar_that_runs_is_not_fought(home: Home, systemctl: StandIn) -> None:
    """Where a sidecar with these settings runs already, the service is enabled only, and how to hand over is said."""
    socket_path.open_run_folder()
    base = socket_path.base_of(str(home.settings))
    lock = socket_path.hold(base + ".up")
    assert lock is not None
    try:
        done = home.run("service", "install")
        assert done.code == 0 and f"kill {os.getpid()}" in done.out
        assert systemctl.state() == {"enabled"}
        assert f"process {os.getpid()}" in home.run("service", "status").out
    finally:
        socket_path.let_go(base + ".up", lock)


def test_variables_of_the_shell_are_named(home: Home, systemctl: StandIn, monkeypatch: pytest.MonkeyPatch) -> None:
    """A service does not have the shell's environment, so variables that the settings need are named, never their values."""
    home.settings.write_text('servers: []\nalerts: [{webhook: "env:HOOK"}]\nsecrets: ["env:CRM", "file:/x"]\n')
    monkeypatch.setenv("SIDECAR_STORE_PASSWORD", "never-shown")
    monkeypatch.setenv("SIDECAR_CONFIG", str(home.settings))
    done = home.run("service", "install")
    assert "CRM, HOOK, SIDECAR_STORE_PASSWORD." in done.out and "never-shown" not in done.out + done.err


ODD = ["a b", "50%", "it's", 'q"q', "back\\slash", "$HOME", "ü –", "a=b;c", "%h", "{x}", "<&>"]


@pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="systemd-analyze is not installed here (Debian: systemd)")
@pytest.mark.parametrize("name", ODD)
def test_systemd_reads_paths_as_they_are(tmp_path: Path, name: str) -> None:
    """Folders with spaces, percent signs, quotes and dollars work: systemd's own parser finds the program and the settings."""
    folder = tmp_path / name
    folder.mkdir()
    start = folder / "sidecar"
    start.write_text("#!/bin/sh\n")
    start.chmod(0o755)
    command = [str(start), "up", "-c", str(folder / "sidecar.yaml")]
    unit = tmp_path / "mcp-sidecar.service"
    unit.write_text(service_files.unit(command))
    (tmp_path / "run").mkdir()
    environ = {**os.environ, "XDG_RUNTIME_DIR": str(tmp_path / "run"), "SYSTEMD_LOG_LEVEL": "debug", "LC_ALL": "C.UTF-8"}
    verify = ["systemd-analyze", "verify", "--user", "--man=no", str(unit)]
    done = subprocess.run(verify, env=environ, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    line = next(line for line in (done.stdout + done.stderr).splitlines() if "Command Line: " in line)
    # It is shown as a shell would take it, before variables (and `$$` for `$`) are put in, which happens when it is run.
    shown = line.partition("Command Line: ")[2].replace("\\$", "$")
    read = [word.replace("$$", "$") for word in shlex.split(shown)]
    assert read == (command if read[0] == str(start) else ["/bin/sh", "-c", 'exec "$0" "$@"', *command])


@pytest.mark.parametrize("name", ["it's", 'q"q', "back\\slash", "$HOME"])
def test_a_program_path_that_systemd_refuses_goes_through_a_shell(tmp_path: Path, name: str) -> None:
    """The shell that is put before such a path starts the program with the same arguments."""
    start = tmp_path / name
    start.write_text('#!/bin/sh\nprintf "%s\\n" "$@"\n')
    start.chmod(0o755)
    line = next(
        line for line in service_files.unit([str(start), "up", "-c", "a b"]).splitlines() if line.startswith("ExecStart")
    )
    words = [word.replace("$$", "$").replace("%%", "%") for word in shlex.split(line.partition("=")[2])]
    assert subprocess.run(words, capture_output=True, text=True, check=True).stdout == "up\n-c\na b\n"


def test_a_path_that_is_no_text_is_refused() -> None:
    """Bytes that are no UTF-8 cannot stand in either file, and the message says what to do."""
    texts: list[Callable[[str], str]] = [
        lambda word: service_files.unit([word]),
        lambda word: service_files.agent([word], "/log"),
    ]
    for text in texts:
        with pytest.raises(SettingsError, match="rename it"):
            text("/a\udcff")


def test_an_agent_is_written_and_started(home: Home, launchctl: StandIn) -> None:
    """On macOS the same is done by a launchd agent, whose XML holds any path."""
    config = home.put("a <b> & 'c' \"d\"/sidecar.yaml", "servers: []\n")
    done = home.run("service", "install", "-c", str(config))
    assert (done.code, done.err) == (0, "")
    domain, file = f"gui/{os.getuid()}", home.path / AGENT
    assert launchctl.asked() == [f"print {domain}/mcp-sidecar", f"bootstrap {domain} {file}"]
    agent = plistlib.loads(file.read_bytes())
    assert agent["ProgramArguments"] == [*executable.own_program(), "up", "-c", str(config)]
    assert agent["RunAtLoad"] is True and agent["Label"] == "mcp-sidecar"
    assert home.run("service", "status", "-c", str(config)).code == 0
    launchctl.asked()
    assert home.run("service", "install").code == 0, "other settings replace it"
    assert [line.split()[0] for line in launchctl.asked()] == ["print", "bootout", "print", "bootstrap"]
    assert plistlib.loads(file.read_bytes())["ProgramArguments"][-1] == str(home.settings)
    assert home.run("service", "uninstall").code == 0
    assert not file.exists() and launchctl.state() == set()


def test_an_agent_that_launchd_refuses_leaves_nothing(home: Home, launchctl: StandIn) -> None:
    """When launchd refuses, the file and its folder are gone again, and the command to run is named."""
    before = files(home)
    launchctl.fail_at("bootstrap")
    done = home.run("service", "install")
    assert done.code == 2 and "launchctl bootstrap" in done.err and files(home) == before


def test_other_systems_are_told(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where neither systemd nor launchd can be, the message says so."""
    monkeypatch.setattr("sys.platform", "freebsd14")
    assert "no service manager" in home.run("service", "status").err


def test_the_command_is_typed_as_it_is_found(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """What is named to be typed starts this sidecar: by its name where PATH leads to it, else by its whole path."""
    monkeypatch.setattr(sys, "executable", str(tmp_path / "python"))
    (tmp_path / "sidecar").write_text("#!/bin/sh\n")
    (tmp_path / "sidecar").chmod(0o755)
    monkeypatch.setenv("PATH", "/nowhere")
    assert executable.typed("up", "-c", "a b") == f"{tmp_path}/sidecar up -c 'a b'"
    monkeypatch.setenv("PATH", str(tmp_path))
    assert executable.typed("up") == "sidecar up"
