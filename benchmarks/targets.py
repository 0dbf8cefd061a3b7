"""What is measured: each way from the load to the server, started as a user would start it, and stopped again."""

import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parent.parent
START_WAIT_S = 60.0
NO_RULES = "version: 1\npolicy: none\ndescription: Passes everything.\naccess:\n  default: allow\n"


@dataclass(frozen=True, slots=True)
class Target:
    """One way to the server: where it listens, and the process in the path (0 when there is none)."""

    name: str
    port: int
    pid: int

    def cpu_s(self) -> float:
        """Processor seconds, user and system, that the process and its children have used so far."""
        return sum(map(_cpu_s, _family(self.pid))) if self.pid else 0.0


@contextmanager
def running(names: Sequence[str], work: Path, pin: bool) -> Iterator[tuple[int, list[Target]]]:
    """The server's port and the targets, all up at once so that they can be measured in turn."""
    with ExitStack() as stack:
        upstream = stack.enter_context(_process([sys.executable, "benchmarks/upstream.py"], 1 if pin else None, work))
        assert upstream.stdout
        port = int(upstream.stdout.readline())
        targets = []
        for name in names:
            if name == "direct":
                targets.append(Target(name, port, 0))
                continue
            own = _free_port()
            command = COMMANDS[name](own, port, work / name)
            process = stack.enter_context(_process(command, 0 if pin else None, work / name))
            _wait_for(process, own, work / name)
            targets.append(Target(name, own, process.pid))
        yield port, targets


def _mitmdump(port: int, upstream: int, work: Path) -> list[str]:
    where = ["--mode", f"reverse:http://127.0.0.1:{upstream}", "--listen-host", "127.0.0.1", "-p", str(port)]
    program = Path(sys.executable).with_name("mitmdump")
    return [str(program), "-q", *where, "--set", f"confdir={work}"]


def _without_rules(port: int, upstream: int, work: Path) -> list[str]:
    policies = work / "policies"
    policies.mkdir()
    (policies / "none.yaml").write_text(NO_RULES, "utf-8")
    return _proxy(port, upstream, work, policies)


def _with_policies(port: int, upstream: int, work: Path) -> list[str]:
    policies = shutil.copytree(ROOT / "policies", work / "policies")
    return _proxy(port, upstream, work, policies)


def _proxy(port: int, upstream: int, work: Path, policies: Path) -> list[str]:
    settings = work / "sidecar.yaml"
    settings.write_text(
        f"servers:\n  - {{name: orders, listen: 127.0.0.1:{port}, upstream: http://127.0.0.1:{upstream}}}\n"
        f"policies: {policies}\ndata: {work / 'data'}\n",
        "utf-8",
    )
    return [sys.executable, "-O", "-m", "sidecar", "proxy", "-c", str(settings)]


COMMANDS = {"mitmdump": _mitmdump, "sidecar": _without_rules, "sidecar+policies": _with_policies}
NAMES = ("direct", *COMMANDS)


@contextmanager
def _process(command: list[str], core: int | None, work: Path) -> Iterator[subprocess.Popen[bytes]]:
    pinned = command if core is None else ["taskset", "-c", str(core), *command]
    with (work / "log").open("ab") as log:
        process = subprocess.Popen(pinned, cwd=ROOT, stdout=subprocess.PIPE, stderr=log, start_new_session=True)
    try:
        yield process
    finally:
        process.terminate()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _wait_for(process: subprocess.Popen[bytes], port: int, work: Path) -> None:
    deadline = time.monotonic() + START_WAIT_S
    while time.monotonic() < deadline and process.poll() is None:
        with suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
            return
        time.sleep(0.05)
    said = (work / "log").read_text("utf-8", "replace")[-2000:]
    raise RuntimeError(f"{work.name} did not start:\n{said}")


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return int(probe.getsockname()[1])


def _family(pid: int) -> list[int]:
    """A process and all it started, as Linux tells them; elsewhere nobody."""
    try:
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text("ascii").split()
    except OSError:
        return []
    return [pid, *(each for child in children for each in _family(int(child)))]


def _cpu_s(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text("ascii").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
