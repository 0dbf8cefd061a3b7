"""The whole way on one machine: two MCP servers, the sidecar in front of them, and an agent that sometimes leaks.

``python examples/demo.py [SETTINGS]``; by default the settings are ``sidecar.yaml`` beside this file. Exit status: 0
stopped by Ctrl-C or SIGTERM, 2 could not start or something ended by itself.
"""

import signal
import socket
import sys
import time
from pathlib import Path
from types import FrameType
from urllib.parse import urlsplit

from children import Children

from sidecar.errors import SidecarError
from sidecar.settings import Settings, load, open_data

HERE = Path(__file__).parent
SERVERS = {"crm": HERE / "crm_server.py", "mail": HERE / "mail_server.py"}
START_WAIT_S = 60.0


class Stop(Exception):
    """Somebody asked us to stop."""


class CannotRun(Exception):
    """What a person has to mend before the demo can run."""


def main() -> int:
    """Run until somebody stops it."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _stop)
    file = sys.argv[1] if len(sys.argv) > 1 else str(HERE / "sidecar.yaml")
    try:
        settings = load(file)
        _check_ports(settings)
        with Children() as children:
            _start(children, settings, file)
            while (ended := children.ended()) is None:
                time.sleep(0.2)
            name, code = ended
            print(f"demo: {name} ended by itself with status {code}; stopping the rest", file=sys.stderr)
            return 2
    except Stop:
        print("demo: stopped", flush=True)
        return 0
    except (CannotRun, SidecarError) as error:
        print(error, file=sys.stderr)
        return 2


def _stop(number: int, frame: FrameType | None) -> None:
    for each in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(each, signal.SIG_IGN)  # stopping in order is not itself to be interrupted
    print("\ndemo: stopping the agent, the sidecar and the servers", flush=True)
    raise Stop


def _start(children: Children, settings: Settings, file: str) -> None:
    """Bring up the servers, then the sidecar, then the agent, each when what it talks to answers."""
    data = open_data(settings)
    for server in settings.servers:
        with (data / f"demo-{server.name}.log").open("ab") as log:
            port = str(urlsplit(server.upstream).port)
            children.start(server.name, [sys.executable, str(SERVERS[server.name]), "--port", port], log)
    _wait_for(children, [_upstream(server.upstream) for server in settings.servers])
    children.start("sidecar", [sys.executable, "-m", "sidecar", "up", "-c", file])
    _wait_for(children, [(server.host, server.port) for server in settings.servers])
    print(_overview(settings), flush=True)
    addresses = [part for server in settings.servers for part in (f"--{server.name}", f"http://{server.listen}/mcp")]
    children.start("agent", [sys.executable, str(HERE / "agent.py"), *addresses])


def _check_ports(settings: Settings) -> None:
    unknown = {server.name for server in settings.servers} ^ set(SERVERS)
    if unknown:
        raise CannotRun(f"{settings.file}: the demo has the servers crm and mail, no more and no less; see {min(unknown)!r}")
    wanted = [(_upstream(server.upstream), f"the demo's {server.name} server") for server in settings.servers]
    wanted += [((server.host, server.port), f"the listener of {server.name}") for server in settings.servers]
    for (host, port), owner in wanted:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        with socket.socket(family, socket.SOCK_STREAM) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((host, port))
            except OSError as error:
                raise CannotRun(
                    f"demo: {host}:{port} is needed for {owner} but cannot be had ({error.strerror}); "
                    f"stop what uses it, or change it in {settings.file}"
                ) from None


def _wait_for(children: Children, addresses: list[tuple[str, int]]) -> None:
    deadline = time.monotonic() + START_WAIT_S
    for address in addresses:
        while not _answers(address):
            if ended := children.ended():
                raise CannotRun(f"demo: {ended[0]} ended with status {ended[1]} before it was ready; see what it said")
            if time.monotonic() > deadline:
                raise CannotRun(f"demo: nothing answers on {address[0]}:{address[1]} after {START_WAIT_S:.0f} s")
            time.sleep(0.1)


def _answers(address: tuple[str, int]) -> bool:
    try:
        socket.create_connection(address, timeout=1).close()
    except OSError:
        return False
    return True


def _upstream(url: str) -> tuple[str, int]:
    parts = urlsplit(url)
    return parts.hostname or "127.0.0.1", parts.port or 80


def _overview(settings: Settings) -> str:
    lines = [f"  {server.name:9} http://{server.listen}/mcp  stands for  {server.upstream}" for server in settings.servers]
    return "\n".join(
        [
            "",
            *lines,
            f"  page      {settings.link_base}",
            f"  policies  {settings.policies_path}  (edit one: it is in force for the next call)",
            f"  record    {settings.data_path}",
            "  stop      Ctrl-C",
            "",
        ]
    )


if __name__ == "__main__":
    sys.exit(main())
