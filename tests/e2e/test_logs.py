"""What the programs of a whole installation write to their logs."""

import asyncio
import json
from pathlib import Path
from secrets import token_hex
from typing import Any

from mcp import Client

from tests.e2e.conftest import Installation, until
from tests.ports import free_port


def test_json_logs_hold_events_and_no_secret(another: Any, calm_policies: Path) -> None:
    """Each line of both programs is an object; a registered secret, a webhook's address and the page's keys are in none."""
    address = token_hex(8)
    installation: Installation = another(calm_policies, f"http://127.0.0.1:{free_port()}/{address}")
    with installation.file.open("a") as file:
        file.write("log_format: json\n")
    collect, proxy = installation.start_collect(), installation.start_proxy()
    asyncio.run(leak(installation))
    (calm_policies / "broken.yaml").write_text("version: 1\npolicy: [\n")
    until(lambda: "stays in force" in proxy.output, "the log to announce the broken edit")
    until(lambda: "channel webhook" in collect.output, "the log to say that nobody takes alerts")
    installation.stop()
    lines = [json.loads(line) for line in (proxy.output + collect.output).splitlines()]
    assert all(list(line)[:4] == ["time", "level", "logger", "event"] for line in lines)
    events = {line["event"]: line for line in lines}
    assert {"ready", "stopping"} <= events.keys()
    refused = events["edited policies refused; the last good version stays in force"]
    assert refused["policy_version"] and "broken.yaml" in refused["problems"][0]
    token = (installation.data / "reader.token").read_text()
    for secret in (installation.registered, address, token):
        assert secret not in proxy.output + collect.output


async def leak(installation: Installation) -> None:
    async with Client(installation.url) as client:
        await client.call_tool("echo", {"text": f"the password is {installation.registered}"})
