"""The whole way on one machine: two MCP servers, the sidecar in front of them, and an agent that sometimes leaks.

``python examples/demo.py [SETTINGS]``; by default the settings are ``sidecar.yaml`` beside this file. Where a port of theirs is
taken, the demo takes the next free one, says so, and runs with ``demo.yaml`` in the data folder. Exit status: 0 stopped by
Ctrl-C or SIGTERM, 2 could not start or something ended by itself.
"""

import json
import math
import signal
import socket
import sys
import time
from pathlib import Path
from types import FrameType
from urllib.parse import urlsplit

from children import Children

from sidecar import ports
from sidecar.addresses import host_port
from sidecar.errors import SidecarError
from sidecar.review.extra import is_page_installed
from sidecar.settings import Settings, load, open_data
from sidecar.wrap.running import process_of

HERE = Path(__file__).parent
SERVERS = {"crm": HERE / "crm_server.py", "mail": HERE / "mail_server.py"}
START_WAIT_S = 60.0
"""How long a demo server may take to answer. The sidecar may take as long as it runs: it says itself what it waits for."""
PORTS_TRIED = 200


class Stop(Exception):
    """Somebody asked us to stop."""


class CannotRun(Exception):
    """What a person has to fix before the demo can run."""


def main() -> int:
    """Run until somebody stops it."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _stop)
    file = sys.argv[1] if len(sys.argv) > 1 else str(HERE / "sidecar.yaml")
    try:
        settings = _with_free_ports(file)
        with Children() as children:
            _start(children, settings)
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


def _start(children: Children, settings: Settings) -> None:
    """Bring up the servers, then the sidecar, then the agent, each when what it talks to answers."""
    data = open_data(settings)
    for server in settings.servers:
        with (data / f"demo-{server.name}.log").open("ab") as log:
            port = str(urlsplit(server.upstream).port)
            children.start(server.name, [sys.executable, str(SERVERS[server.name]), "--port", port], log)
    _wait_for(children, [_upstream(server.upstream) for server in settings.servers], START_WAIT_S)
    print(_overview(settings), flush=True)
    children.start("sidecar", [sys.executable, "-m", "sidecar", "up", "-c", settings.file])
    pages = [settings.page] if is_page_installed() else []
    _wait_for(children, [*map(host_port, [*(server.listen for server in settings.servers), settings.reader, *pages])], math.inf)
    addresses = [part for server in settings.servers for part in (f"--{server.name}", f"http://{server.listen}/mcp")]
    children.start("agent", [sys.executable, str(HERE / "agent.py"), *addresses])


def _with_free_ports(file: str) -> Settings:
    """The settings, with the next free port for each that is taken.

    Raises:
        CannotRun: the demo runs already, the servers are not those of the demo, or a port cannot be had.
        SettingsError: the settings are wrong.
    """
    settings = load(file)
    unknown = {server.name for server in settings.servers} ^ set(SERVERS)
    if unknown:
        raise CannotRun(f"{settings.file}: the demo has the servers crm and mail, no more and no less; see {min(unknown)!r}")
    moved_file = open_data(settings) / "demo.yaml"
    for each in (file, str(moved_file)):
        if process := process_of(each):
            raise CannotRun(f"demo: it runs already (sidecar process {process}); its page is at {load(each).link_base}")
    wanted = {f"upstream of {server.name}": server.upstream.removeprefix("http://") for server in settings.servers}
    wanted |= {f"listener of {server.name}": server.listen for server in settings.servers}
    wanted |= {"record": settings.reader, "page": settings.page}
    spoken_for = set(wanted.values())
    free = {owner: _free_near(address, spoken_for) for owner, address in wanted.items()}
    if free == wanted:
        return settings
    for owner in wanted:
        if free[owner] != wanted[owner]:
            print(f"demo: {wanted[owner]} is in use, so the {owner} is at {free[owner]}", flush=True)
    moved_file.write_text(json.dumps(_moved(settings, free), indent=1), "utf-8")
    settings = load(moved_file)
    if (settings.page, settings.reader) != (free["page"], free["record"]):
        raise CannotRun("demo: SIDECAR_PAGE or SIDECAR_READER names a port that is in use; set it to another host:port")
    return settings


def _free_near(address: str, spoken_for: set[str]) -> str:
    """``address``, or the same with the next port that is free and not ``spoken_for``, which it then is."""
    if not ports.fault_at(address):
        return address
    host, _, port = address.rpartition(":")
    for number in range(int(port) + 1, min(int(port) + PORTS_TRIED, 65536)):
        near = f"{host}:{number}"
        if near not in spoken_for and not ports.fault_at(near):
            spoken_for.add(near)
            return near
    raise CannotRun(f"demo: {address} {ports.fault_at(address)}, and so are the ports after it; change it in the settings")


def _moved(settings: Settings, free: dict[str, str]) -> dict[str, object]:
    """The settings as they are written, with other addresses, and with paths that do not depend on where the file stands."""
    kept = settings.model_dump(mode="json", exclude_unset=True)
    for server in kept["servers"]:
        server["listen"] = free[f"listener of {server['name']}"]
        server["upstream"] = f"http://{free[f'upstream of {server["name"]}']}"
    paths = {"policies": [*map(str, settings.policies_paths)], "data": str(settings.data_path)}
    return {**kept, **paths, "page": free["page"], "reader": free["record"]}


def _wait_for(children: Children, addresses: list[tuple[str, int]], within_s: float) -> None:
    deadline = time.monotonic() + within_s
    for address in addresses:
        while not _answers(address):
            if ended := children.ended():
                raise CannotRun(f"demo: {ended[0]} ended with status {ended[1]} before it was ready; see what it said")
            if time.monotonic() > deadline:
                raise CannotRun(f"demo: nothing answers on {address[0]}:{address[1]} after {within_s:.0f} s")
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
    policies = ", ".join(map(str, settings.policies_paths))
    return "\n".join(
        [
            "",
            "demo: the sidecar starts; then an agent makes calls",
            "  watch     the page named below, or in another terminal: .venv/bin/sidecar calls --follow",
            f"  policies  {policies}  (edit one: it is in force for the next call)",
            "  stop      Ctrl-C",
            "",
        ]
    )


if __name__ == "__main__":
    sys.exit(main())
