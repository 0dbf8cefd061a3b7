"""How long a person waits: from a leaking call to its alert, from a saved policy to its force, from a call to the store.

Runs a whole installation on loopback (a real MCP server, proxy, collector, webhook) and prints medians and maxima.
"""

import argparse
import asyncio
import shutil
import statistics
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from mcp import Client

from tests.e2e.conftest import ROOT, Installation, Program, Webhook, is_open, until
from tests.e2e.test_reload import NO_ECHO
from tests.e2e.test_secrets import fresh_key
from tests.ports import free_port


async def alert_delays(client: Client, hook: Webhook, calls: int) -> list[float]:
    """Seconds from sending a call with a credential to the webhook holding its alert."""
    delays = []
    for _ in range(calls):
        known, began = len(hook.received), time.time()
        await client.call_tool("echo", {"text": fresh_key()})
        while len(hook.received) == known:
            await asyncio.sleep(0.001)
        delays.append(hook.received[-1][0] - began)
    return delays


def edit(file: Path, text: str) -> None:
    """Save a policy, or remove it when there is no text."""
    if text:
        file.write_text(text)
    else:
        file.unlink()


async def edit_delays(client: Client, file: Path, edits: int) -> list[float]:
    """Seconds from saving (or removing) a policy to the first call that is judged by it."""
    delays = []
    for number in range(edits):
        is_blocking = number % 2 == 0
        edit(file, NO_ECHO if is_blocking else "")
        began = time.time()
        while (await client.call_tool("echo", {"text": "hi"})).is_error is not is_blocking:
            await asyncio.sleep(0.001)
        delays.append(time.time() - began)
    return delays


async def store_delays(client: Client, sidecar: Installation, calls: int) -> list[float]:
    """Seconds from a call's answer to its row being readable."""
    delays = []
    for number in range(calls):
        text = f"stored {time.time_ns()} {number}"
        await client.call_tool("echo", {"text": text})
        began = time.time()
        until(lambda text=text: sidecar.rows(f"SELECT 1 FROM calls WHERE request LIKE '%{text}%'"), "the row")  # type: ignore[misc]
        delays.append(time.time() - began)
    return delays


async def measure(sidecar: Installation, hook: Webhook, rounds: int) -> None:
    """Print one line for each delay."""
    async with Client(sidecar.url) as client:
        for what, delays in (
            ("alert after the call was sent", await alert_delays(client, hook, rounds)),
            ("policy in force after it was saved", await edit_delays(client, sidecar.policies / "no-echo.yaml", rounds)),
            ("call readable after its answer", await store_delays(client, sidecar, rounds)),
        ):
            median, longest = statistics.median(delays) * 1000, max(delays) * 1000
            print(f"{what:36} median {median:5.0f} ms   longest {longest:5.0f} ms   of {len(delays)}")


def main() -> None:
    """Start everything, measure, stop everything."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rounds", type=int, default=20)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        port, arrivals, hook = free_port(), folder / "arrivals", Webhook()
        script = str(ROOT / "tests" / "e2e" / "fixture_server.py")
        server = Program([sys.executable, script, "--port", str(port), "--log", str(arrivals)], folder / "server.log")
        shutil.copytree(ROOT / "policies", folder / "policies")
        (folder / "policies" / "runaway.yaml").unlink()
        (folder / "sidecar").mkdir()
        sidecar = Installation(folder / "sidecar", port, folder / "policies", hook.url)
        try:
            until(lambda: is_open(port), "the server")
            sidecar.start_collect()
            sidecar.start_proxy()
            asyncio.run(measure(sidecar, hook, options.rounds))
        finally:
            sidecar.stop()
            server.stop()
            hook.close()


if __name__ == "__main__":
    main()
