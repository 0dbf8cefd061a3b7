"""Runs every client over every shape, and says where two ways to the same server differ.

``python -m tests.wire.matrix`` runs the fixture and a ``sidecar proxy``, and prints each difference with its reason.
"""

import json
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Collection
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from tests.e2e.conftest import Installation
from tests.wire import differences, raw_client
from tests.wire.server import WireServer
from tests.wire.shapes import SHAPES

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
NPM = ROOT / ".tools" / "npm"
NODE = ROOT / ".tools" / "bin" / "node"

MODERN = "2026-07-28"
CLIENTS = {
    "python": ("drivers/python_client.py", "legacy"),
    "python-modern": ("drivers/python_client.py", MODERN),
    "ts1": ("drivers/client_v1.mjs", "legacy"),
    "ts2": ("drivers/client_v2.mjs", "legacy"),
    "ts2-modern": ("drivers/client_v2.mjs", MODERN),
    "raw": ("", "legacy"),
    "raw-modern": ("", MODERN),
    "raw-unusual": ("unusual", "legacy"),
}
SILENT_S = 2.5
ORDINARY_S = 30.0
_WAVE = 96
"""Calls at once; Python's client opens at most a hundred connections."""

Outcomes = dict[str, Any]


def shapes_for(client: str, names: Collection[str] = ()) -> list[str]:
    """The shapes that make sense in the era of a client."""
    era = "handshake" if CLIENTS[client][1] == "legacy" else "modern"
    asks = not client.startswith("raw")
    return [
        name
        for name, shape in SHAPES.items()
        if era in shape.eras and (not names or name in names) and (asks or not name.startswith("asks-"))
    ]


def run(client: str, port: int, names: Collection[str] = (), patience: float = 1.0) -> Outcomes:
    """One client over its shapes in one process; every outcome as its application saw it, without addresses."""
    script, mode = CLIENTS[client]
    shapes = shapes_for(client, names)
    # Only Python's client gives its connection up over one bad response.
    alone = [name for name in shapes if SHAPES[name].is_fatal and client.startswith("python")]
    shapes_left = [name for name in shapes if name not in alone]
    waves = [
        [{"name": name, "timeout_s": patience * (SILENT_S if is_silent else ORDINARY_S)} for name in part]
        for is_silent in (False, True)
        for part in _parts([name for name in shapes_left if SHAPES[name].is_silent is is_silent])
    ]
    if client.startswith("raw"):
        return _plain(raw_client.run(port, mode, waves, script == "unusual"), port)
    task = json.dumps({"url": f"http://127.0.0.1:{port}/mcp", "mode": mode, "alone": alone, "waves": waves})
    command: list[str | Path] = [sys.executable, HERE / script] if script.endswith(".py") else [NODE, HERE / script, NPM]
    environ = {**os.environ, "PYTHONWARNINGS": "ignore"}
    done = subprocess.run(command, input=task, capture_output=True, text=True, timeout=300, env=environ, check=False)
    assert done.returncode == 0, f"{client} at port {port}: {done.stderr[-3000:]}"
    return _plain(json.loads(done.stdout), port)


def compare(client: str, ports: tuple[int, int]) -> tuple[int, dict[str, tuple[Any, Any]]]:
    """How many shapes a client was shown in two ways, and where the two outcomes differ.

    A difference nobody means is looked at once more, and with patience: a busy machine is no finding.
    """
    shown, found = _differences(client, ports, (), 1.0)
    unmeant = [name for name, (_, there) in found.items() if not is_meant(client, name, there)]
    if unmeant:
        found = {name: pair for name, pair in found.items() if name not in unmeant}
        found |= _differences(client, ports, unmeant, 3.0)[1]
    return shown, found


def is_meant(client: str, name: str, outcome: Any) -> bool:
    """Whether a difference is declared, and is the declared one."""
    declared = differences.meant(client, name)
    return declared is not None and declared.is_meant(outcome)


def _differences(
    client: str, ports: tuple[int, int], names: Collection[str], patience: float
) -> tuple[int, dict[str, tuple[Any, Any]]]:
    with ThreadPoolExecutor(2) as pool:
        here, there = pool.map(lambda port: run(client, port, names, patience), ports)
    return len(here), {name: (here[name], there[name]) for name in here if here[name] != there[name]}


def compare_all(ports: tuple[int, int], clients: Collection[str]) -> dict[str, tuple[int, dict[str, tuple[Any, Any]]]]:
    """Every client over every shape; a few clients at a time, because most of it is waiting.

    A declared difference that no client met is looked for once more, with patience: what comes too late is no answer.
    """
    with ThreadPoolExecutor(3) as pool:
        compared = dict(zip(clients, pool.map(lambda client: compare(client, ports), clients), strict=True))
    missed = differences.names() - {name for _, pairs in compared.values() for name in pairs}
    if missed:
        for client, (_, pairs) in compared.items():
            pairs |= _differences(client, ports, missed, 3.0)[1]
    return compared


def _parts(names: list[str]) -> list[list[str]]:
    return [names[i : i + _WAVE] for i in range(0, len(names), _WAVE)]


def _plain(outcomes: Outcomes, port: int) -> Outcomes:
    """Without the port the client used: it is what must differ."""
    text = json.dumps(outcomes)
    return dict(json.loads(re.sub(rf"(127\.0\.0\.1|localhost):{port}\b", "HERE", text)))


def has_npm() -> bool:
    """Whether the TypeScript clients are installed."""
    wanted = ("sdk", "client")
    return NODE.exists() and all((NPM / "node_modules" / "@modelcontextprotocol" / name).is_dir() for name in wanted)


def main() -> int:
    """Print what differs; exit status 1 when something does that is not declared."""
    server = WireServer()
    is_clean = True
    with tempfile.TemporaryDirectory(prefix="wire-") as folder:
        installation = Installation(Path(folder), server.port)
        installation.start_proxy()
        clients = [name for name in CLIENTS if has_npm() or not name.startswith("ts")]
        try:
            found = compare_all((server.port, installation.port), clients)
        finally:
            installation.stop()
            server.close()
    for client, (shown, pairs) in found.items():
        print(f"{client}: {shown} shapes, {shown - len(pairs)} the same, {len(pairs)} different")
        for name, (here, there) in sorted(pairs.items()):
            declared = differences.meant(client, name) if is_meant(client, name, there) else None
            is_clean = is_clean and declared is not None
            print(f"  {name}: {declared.reason if declared else 'NOT DECLARED'}")
            if declared is None:
                print(f"    direct  {json.dumps(here)[:300]}\n    through {json.dumps(there)[:300]}")
    return 0 if is_clean else 1


if __name__ == "__main__":
    sys.exit(main())
