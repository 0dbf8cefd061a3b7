"""A wrapped server's process is the server itself: signals, streams, ends and exit codes are as without us (case 25)."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.e2e.conftest import ROOT, until
from tests.wrap.conftest import ECHO, Home, call, ended, is_alive, python, request

READY = "import sys, time; print('ready'); sys.stdout.flush(); "


@pytest.mark.parametrize("code", [0, 7, 255])
def test_the_exit_code_is_the_servers(home: Home, code: int) -> None:
    """A client reads why its server ended."""
    assert ended(home.wrap(*python(f"raise SystemExit({code})"))) == code


@pytest.mark.parametrize("number", [signal.SIGSEGV, signal.SIGKILL, signal.SIGPIPE])
def test_a_server_that_dies_of_a_signal_does_so_visibly(home: Home, number: int) -> None:
    """The wait status is the server's own."""
    default = f"signal.signal({number:d}, signal.SIG_DFL)" if number != signal.SIGKILL else ""
    code = f"import os, signal; {default}; os.kill(os.getpid(), {number:d})".replace("; ;", ";")
    assert ended(home.wrap(*python(code))) == -number


@pytest.mark.parametrize(
    ("command", "code", "said"),
    [(("no-such-server",), 127, b"there is no such command"), (("/etc/hostname",), 126, b"cannot be run")],
)
def test_a_command_that_cannot_be_run_is_told_as_shells_do(
    home: Home, command: tuple[str, ...], code: int, said: bytes
) -> None:
    """127 and 126, and one line that names it."""
    process = home.wrap(*command)
    assert process.stderr is not None
    assert said in process.stderr.read()
    assert ended(process) == code


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--", "true"], "--server NAME is missing"),
        (["--server", "a b", "--", "true"], "is not a name"),
        (["--server", "a", "--on-unavailable", "maybe", "--", "true"], "block or pass"),
        (["--server", "a"], "command is missing"),
        (["--server", "a", "--sever", "b", "--", "true"], "--sever is not an option"),
        (["--server", "a", "-c", "/nowhere.yaml", "--", "true"], "no settings file /nowhere.yaml"),
        (["--server"], "--server needs a value"),
    ],
)
def test_a_wrong_command_line_is_explained(arguments: list[str], said: str) -> None:
    """Exit code 2, the mistake and the usage, before anything is started."""
    command = [sys.executable, "-m", "sidecar", "wrap", *arguments]
    done = subprocess.run(
        command, capture_output=True, text=True, env={**os.environ, "PYTHONPATH": str(ROOT)}, check=False, timeout=20
    )
    assert done.returncode == 2
    assert said in done.stderr and "usage: sidecar wrap" in done.stderr


@pytest.mark.parametrize("separator", [("--",), ()], ids=["with --", "without"])
def test_the_command_is_the_servers_own_with_and_without_a_separator(home: Home, separator: tuple[str, ...]) -> None:
    """The first word that is no option begins the server's command, whose own options, also a '--', reach it unchanged."""
    own = ["--server", "x", "-c", "--", "wrap", "--unknown=1", ""]
    command = home.command(*python("import sys; print(sys.argv[1:])"), *own, separator=separator)
    done = subprocess.run(command, env=home.environ, input=b"", capture_output=True, check=True, timeout=60)
    assert done.stdout.decode() == f"{own}\n"


@pytest.mark.parametrize("to_group", [True, False])
@pytest.mark.parametrize("name", ["SIGTERM", "SIGINT", "SIGHUP", "SIGUSR1", "SIGUSR2"])
def test_signals_reach_the_server_once(home: Home, name: str, to_group: bool) -> None:
    """Sent to the process or to its group, the server gets each exactly once, and its own exit code comes out."""
    code = f"""
import os, signal, sys, time
count = []
signal.signal(signal.{name}, lambda *_: count.append(1))
print("ready", flush=True)
while not count:
    time.sleep(0.01)
time.sleep(0.1)
os._exit(40 + len(count))
"""
    process = home.wrap(*python(code))
    assert process.stdout is not None
    assert process.stdout.readline() == b"ready\n"
    number = getattr(signal, name)
    if to_group:
        os.killpg(process.pid, number)
    else:
        process.send_signal(number)
    assert ended(process) == 41


def test_a_killed_wrap_is_a_killed_server(home: Home) -> None:
    """SIGKILL to the process leaves no server behind, not even one that ignores everything else."""
    code = "import os, signal, time; signal.signal(15, signal.SIG_IGN); print(os.getpid(), flush=True); time.sleep(600)"
    process = home.wrap(*python(code))
    assert process.stdout is not None
    assert int(process.stdout.readline()) == process.pid
    process.kill()
    assert process.stdout.read() == b""
    assert ended(process) == -signal.SIGKILL


def test_a_killed_relay_ends_both_sides(home: Home) -> None:
    """Without its relay nothing passes unjudged: the server sees the end of its input, the client of its output."""
    process = home.wrap(*python("import sys; print('ready', flush=True); sys.stdin.read(); raise SystemExit(5)"))
    assert process.stdout is not None
    assert process.stdout.readline() == b"ready\n"
    os.kill(relay_of(process.pid), signal.SIGKILL)
    assert process.stdout.read() == b""
    assert ended(process) == 5


def relay_of(server: int) -> int:
    """The process that reads what a server writes, or 0 before there is a server."""
    pipe = os.readlink(f"/proc/{server}/fd/1")
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit() and int(folder.name) not in (server, os.getpid()):
            try:
                # A child of the server's is the one between them, which goes as soon as there is a relay.
                if f"\nPPid:\t{server}\n" in (folder / "status").read_text():
                    continue
                if any(os.readlink(each) == pipe for each in (folder / "fd").iterdir()):
                    return int(folder.name)
            except OSError:
                continue
    return 0


def test_the_end_of_input_reaches_the_server(home: Home) -> None:
    """A client that closes stdin ends a server that waits for it, and still gets its last words, without a final newline."""
    process = home.wrap(*python("import sys; n = len(sys.stdin.read()); sys.stdout.write(f'{n} bytes'); raise SystemExit(3)"))
    out, _ = process.communicate(b"hello\nlast line without its end", 60)
    assert out == b"31 bytes"
    assert process.returncode == 3


def test_a_server_may_take_its_time_after_the_end_of_input(home: Home) -> None:
    """Nobody but the client ends a server: one that works on after stdin closed finishes, as without us."""
    process = home.wrap(*python("import sys, time; sys.stdin.read(); time.sleep(4); print('done')"))
    out, _ = process.communicate(b"", 60)
    assert (out, process.returncode) == (b"done\n", 0)


def test_the_end_of_output_reaches_the_client_of_a_server_that_lives_on(home: Home) -> None:
    """A server that closes its stdout is heard to do so at once."""
    process = home.wrap(*python("import os, sys; os.close(1); sys.stdin.read(); os._exit(9)"))
    assert process.stdout is not None and process.stdin is not None
    assert process.stdout.read() == b""
    assert process.poll() is None
    process.stdin.close()
    assert ended(process) == 9


def test_a_server_that_closes_its_input_is_noticed_by_the_client(home: Home) -> None:
    """Writing to a server that no longer reads fails, as into its own pipe."""
    process = home.wrap(*python("import os, time; os.close(0); print('closed', flush=True); time.sleep(600)"))
    assert process.stdout is not None and process.stdin is not None
    assert process.stdout.readline() == b"closed\n"
    stdin = process.stdin.fileno()

    def is_refused() -> bool:
        try:
            os.write(stdin, b"\n")
        except BrokenPipeError:
            return True
        return False

    until(is_refused, "writing to fail")
    process.kill()
    ended(process)


def test_a_client_that_stops_reading_ends_a_server_that_writes(home: Home) -> None:
    """A server that writes to nobody gets SIGPIPE, as without us."""
    loop = "import signal\nsignal.signal(signal.SIGPIPE, signal.SIG_DFL)\nwhile True: print('x' * 70, flush=True)"
    process = home.wrap(*python(loop), stdin=subprocess.DEVNULL)
    assert process.stdout is not None
    process.stdout.readline()
    process.stdout.close()
    process.stdout = None
    assert ended(process) == -signal.SIGPIPE


def test_huge_stderr_never_blocks(home: Home) -> None:
    """Log output goes straight from the server to the client; 20 MB of it stand in nobody's way."""
    process = home.wrap(*python("import os; [os.write(2, b'x' * 99 + b'\\n') for _ in range(200_000)]; print('done')"))
    out, err = process.communicate(b"", 60)
    assert out == b"done\n"
    assert len(err) == 20_000_000


def test_what_a_client_hands_down_reaches_the_server_alone(home: Home) -> None:
    """Further descriptors and the environment are the server's, and no copy in the relay keeps them open."""
    reading, writing = os.pipe()
    code = (
        f"import os, sys; os.write({writing}, repr('LC_CTYPE' in os.environ).encode()); os.close({writing}); sys.stdin.read()"
    )
    process = home.wrap(*python(code), pass_fds=(writing,))
    os.close(writing)
    with open(reading, "rb") as end:
        assert end.read() == repr("LC_CTYPE" in home.environ).encode(), "it ends although the server still runs"
    process.communicate(b"", 60)


def test_as_process_1_of_a_container_the_last_lines_arrive(home: Home) -> None:
    """The kernel ends everything with process 1, so it waits for the relay; signals and the exit code come through."""
    unshare = ["unshare", "--pid", "--fork", "--mount-proc", "--kill-child"]
    if subprocess.run([*unshare, "true"], check=False, capture_output=True).returncode:
        pytest.skip("process namespaces may not be made here")
    code = "import os, sys; os.write(1, b'x' * 300_000); sys.exit(0 if os.getpid() != 1 else 9)"
    for _ in range(5):
        done = subprocess.run(
            [*unshare, *home.command(*python(code))], env=home.environ, capture_output=True, timeout=30, check=False
        )
        assert (len(done.stdout), done.returncode) == (300_000, 0)
    trap = "import signal, sys, time; signal.signal(15, lambda *_: sys.exit(42)); print('ready', flush=True); time.sleep(60)"
    process = subprocess.Popen([*unshare, *home.command(*python(trap))], env=home.environ, stdout=subprocess.PIPE)
    assert process.stdout is not None and process.stdout.readline() == b"ready\n"
    first = next(int(each) for each in Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split())
    os.kill(first, signal.SIGTERM)
    assert ended(process) == 42


def test_no_process_of_ours_stays(home: Home) -> None:
    """The relay goes when its server has gone."""
    process = home.wrap(*python(ECHO))
    relay = until(lambda: relay_of(process.pid), "the relay")
    process.communicate(request("ping"), 60)
    until(lambda: not is_alive(relay), "the relay to end")


def test_a_slow_client_slows_only_its_server(home: Home) -> None:
    """A client that does not read keeps nothing growing: the server waits, the relay stays small."""
    process = home.wrap(
        *python("import os\nfor n in range(400): os.write(1, b'y' * 99_999 + b'\\n')"), stdin=subprocess.DEVNULL
    )
    relay = until(lambda: relay_of(process.pid), "the relay")

    def peak_kib() -> int:
        return int(Path(f"/proc/{relay}/status").read_text().partition("VmHWM:")[2].split()[0])

    assert process.stdout is not None
    process.stdout.read(1)
    seen: list[str] = []

    def waits() -> bool:
        seen.append(Path(f"/proc/{process.pid}/stat").read_text().rpartition(")")[2].split()[0])
        return seen[-5:] == ["S"] * 5

    until(waits, "the server to wait for its client")
    assert peak_kib() < 40_000
    assert len(process.stdout.read()) == 400 * 100_000 - 1
    ended(process)


def test_the_relay_is_light(home: Home, homes: Callable[..., Home]) -> None:
    """Nothing heavy is imported: not argparse, not asyncio, no package from outside the standard library."""
    code = "import sys; import sidecar.__main__, sidecar.wrap.command; early = set(sys.modules); import sidecar.wrap.relay; "
    code += "print(sorted(early & {'json', 'socket', 'threading', 'typing', 're'})); "
    heavy = {"argparse", "asyncio", "dataclasses", "json", "re", "typing", "subprocess", "logging", "pydantic"}
    code += f"print(sorted({heavy!r} & set(sys.modules)))"
    done = subprocess.run(
        [sys.executable, "-I", "-S", "-c", f"import sys; sys.path.insert(0, {str(ROOT)!r}); {code}"],
        capture_output=True, text=True, check=True, timeout=20,
    )  # fmt: skip
    assert done.stdout.split("\n")[:2] == ["[]", "[]"]


def test_the_server_runs_after_a_few_milliseconds(home: Home) -> None:
    """What wrap adds before the server's own command runs is well under 100 ms of processor time, Python's start included."""
    spent = []
    for _ in range(5):
        process = home.wrap("true", stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        # The time of this process alone: the relay is not its child.
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        assert process.returncode == 0
        spent.append(usage.ru_utime + usage.ru_stime)
    assert min(spent) < 0.1


def test_messages_reach_the_server_as_they_were_written(home: Home) -> None:
    """Spaces, key order, number spellings and CRLF of a message that no rule changes arrive byte for byte."""
    odd = (
        b'{"method" : "tools/call","params":{"arguments":{"n":1e30,"m":-0.0},"name":"t"},"id":"\\u0031" , "jsonrpc":"2.0"}\r\n'
    )
    process = home.wrap(*python("import sys; sys.stdout.buffer.write(sys.stdin.buffer.read().hex().encode() + b'\\n')"))
    out, _ = process.communicate(odd + call("x", 2), 60)
    assert bytes.fromhex(out.splitlines()[-1].decode()) == odd + call("x", 2)
