"""Policies are edited while calls flow: nothing is dropped, and a broken edit changes nothing but is announced."""

import asyncio
from itertools import pairwise
from pathlib import Path
from typing import Any

from mcp import Client

from tests.e2e.conftest import Installation, Webhook, until

NO_ECHO = """
version: 1
policy: no-echo
owner: security@ourco.example
description: Nobody may use echo.
mode: enforce
rules:
  - id: no.echo
    title: Echo is off
    match: {direction: request, tool: echo}
    when: {expr: 'call.tool == "echo"'}
    action: block
tests:
  - name: echo is blocked
    call: {server: a, tool: echo}
    expect: {verdict: block, rules: [no.echo]}
  - name: others pass
    call: {server: a, tool: add}
    expect: {verdict: allow}
"""


def test_policies_change_while_calls_flow(another: Any, webhook: Webhook, calm_policies: Path) -> None:
    """A valid edit is in force within moments and drops no call; a broken one keeps the last good version and says so."""
    installation: Installation = another(calm_policies, webhook.url)
    installation.start_collect()
    proxy = installation.start_proxy()
    asyncio.run(scenario(installation, calm_policies))
    until(lambda: "stays in force" in proxy.output, "the log to announce the broken edit")
    until(lambda: any(told["rule"] == "sidecar.policy-reload" for _, told in webhook.received), "an alert for the broken edit")
    until(
        lambda: installation.rows("SELECT count() FROM health WHERE metric = 'policy_reload_failed'")[0][0] == 1,
        "the broken edit in the record",
    )
    checked = installation.command("check")
    assert checked.process.wait(30) == 1 and "broken.yaml:3" in checked.output
    versions = {row[0] for row in installation.rows("SELECT DISTINCT policy_version FROM calls WHERE tool = 'echo'")}
    assert len(versions) == 2


async def scenario(installation: Installation, policies: Path) -> None:
    async with Client(installation.url) as client:
        outcomes: list[bool] = []
        done = asyncio.Event()

        async def keep_calling() -> None:
            while not done.is_set():
                outcomes.append((await client.call_tool("echo", {"text": "hi"})).is_error)

        async with asyncio.TaskGroup() as group:
            group.create_task(keep_calling())
            await turned(outcomes, False)
            (policies / "no-echo.yaml").write_text(NO_ECHO)
            await turned(outcomes, True)
            (policies / "broken.yaml").write_text("version: 1\npolicy: broken\nrulez: []\n")
            while "stays in force" not in installation.programs["proxy"].output:
                await asyncio.sleep(0.02)
            assert (await client.call_tool("echo", {"text": "hi"})).is_error, "the last good version stays in force"
            done.set()
        changes = sum(a != b for a, b in pairwise(outcomes))
        assert changes == 1, "every call was answered under one of the two versions"


async def turned(outcomes: list[bool], to: bool) -> None:
    """Wait until calls come out so; the deadline is the test's own."""
    async with asyncio.timeout(60):
        while not outcomes or outcomes[-1] is not to:
            await asyncio.sleep(0.01)
