"""What official clients and servers notice of cancels and edits through the sidecar."""

import asyncio
import contextlib
import time
from pathlib import Path
from typing import Any

import pytest
from mcp import Client
from mcp.client.subscriptions import ToolsListChanged

from tests.e2e.conftest import Installation, until
from tests.e2e.test_clients import MODES
from tests.play import ACCESS


@pytest.mark.parametrize("mode", MODES)
def test_a_cancel_reaches_the_server_at_once(sidecar: Installation, fixture_server: tuple[int, Path], mode: Any) -> None:
    """By a notification before 2026-07-28, by closing the stream since: the tool stops working, and the record says why."""
    arrivals = fixture_server[1]
    before = len(sidecar.rows("SELECT call_id FROM calls WHERE tool = 'hold'"))

    def seen(what: str) -> int:
        return arrivals.read_text().count(what)

    async def scenario() -> float:
        begun, ended = seen("hold begins"), seen("hold is cancelled")
        async with Client(sidecar.url, mode=mode) as client:
            asking = asyncio.ensure_future(client.call_tool("hold", {}))
            await asyncio.to_thread(until, lambda: seen("hold begins") > begun, "the call to arrive")
            asking.cancel()
            start = time.monotonic()
            with contextlib.suppress(asyncio.CancelledError):
                await asking
            await asyncio.to_thread(until, lambda: seen("hold is cancelled") > ended, "the tool to be stopped")
            took = time.monotonic() - start
            assert not (await client.call_tool("echo", {"text": "hi"})).is_error, "the session goes on"
        return took

    assert asyncio.run(scenario()) < 2
    sql = "SELECT status FROM calls WHERE tool = 'hold' ORDER BY ts"
    until(lambda: len(sidecar.rows(sql)) > before, "the cancelled call in the record")
    assert sidecar.rows(sql)[-1] == ("cancelled",)


@pytest.mark.parametrize("mode", ["legacy", "2026-07-28"])
def test_a_client_that_listens_hears_of_an_edit(another: Any, calm_policies: Path, mode: Any) -> None:
    """A policy that hides a tool makes clients list again, although the server knows nothing of it."""
    installation: Installation = another(calm_policies)
    installation.start_proxy()
    heard = asyncio.Event()

    async def told(message: Any) -> None:
        if getattr(message, "method", "") == "notifications/tools/list_changed":
            heard.set()

    async def names(client: Client) -> list[str]:
        return [tool.name for tool in (await client.list_tools()).tools]

    def edit() -> None:
        (calm_policies / "hidden.yaml").write_text(
            ACCESS.replace("policy: access", "policy: hidden").replace("  default: allow\n", "")
        )

    async def scenario() -> None:
        async with Client(installation.url, mode=mode, message_handler=told) as client, asyncio.timeout(30):
            assert "delete_everything" in await names(client)
            if mode == "legacy":
                # The SDK opens its listening stream by itself, some moments after the handshake; an edit before is not heard.
                while not heard.is_set():
                    (calm_policies / "hidden.yaml").unlink(missing_ok=True)
                    edit()
                    with contextlib.suppress(TimeoutError):
                        await asyncio.wait_for(heard.wait(), 2)
            else:
                async with client.listen(tools_list_changed=True) as subscription:
                    edit()
                    assert isinstance(await anext(aiter(subscription)), ToolsListChanged)
            assert "delete_everything" not in await names(client)

    asyncio.run(scenario())
