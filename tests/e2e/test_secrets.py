"""A secret is stopped or taken out, everybody who should know knows, and the secret itself is nowhere."""

import asyncio
import base64
import json
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from mcp import Client

from tests.browser import sync_api, tab
from tests.e2e.conftest import ROOT, Installation, Webhook, until

__all__ = ["tab"]


def fresh_key() -> str:
    """A new value with the form of an AWS access key id."""
    import secrets

    return "AK" + "IA" + "".join(secrets.choice("ABCDEFGHJKLMNPQRSTUVWXYZ234567") for _ in range(16))


async def use(url: str, tool: str, arguments: dict[str, Any]) -> Any:
    async with Client(url) as client:
        return await client.call_tool(tool, arguments)


def test_a_secret_in_arguments_is_blocked_before_the_server_sees_it(
    sidecar: Installation, fixture_server: tuple[int, Path], webhook: Webhook
) -> None:
    """The model reads why, the server never saw the call, the record and the alert have it within a second, masked."""
    key = fresh_key()
    began = time.time()
    said = asyncio.run(use(sidecar.url, "echo", {"text": f"the key is {key}"}))
    assert said.is_error and "secrets" in said.content[0].text and "Retrying unchanged will not help" in said.content[0].text
    assert key not in fixture_server[1].read_text()

    def alert() -> Any:
        return next((got for got in webhook.received if got[0] >= began and got[1].get("rule") == "secrets.out"), None)

    at, told = until(alert, "the alert")
    assert at - began < 10, "the alert is there with the call (the machine may be slow; the page names the exact delay)"
    assert told["tool"] == "echo" and told["server"] == "fixture" and "/call?id=" in json.dumps(told)
    row = until(
        lambda: sidecar.rows(
            "SELECT status, verdict, rule, request FROM calls WHERE status = 'blocked' ORDER BY ts DESC LIMIT 1"
        ),
        "the blocked call in the record",
    )[0]
    assert row[:3] == ("blocked", "block", "secrets.out") and "[secrets.aws-key #" in row[3]
    assert_nowhere(sidecar, webhook, key)


def test_a_secret_in_a_result_arrives_redacted(sidecar: Installation, webhook: Webhook) -> None:
    """Text and structured content are both masked, the result is still one the client accepts, and the record is masked."""
    key = fresh_key()
    parts = [key[:7], key[7:]]
    plain = asyncio.run(use(sidecar.url, "leak", {"parts": parts}))
    assert not plain.is_error and plain.content[0].text == "the key is [secrets.aws-key]"
    structured = asyncio.run(use(sidecar.url, "leak_account", {"parts": parts}))
    assert structured.structured_content == {"owner": "Ada", "key": "[secrets.aws-key]", "balance": 12.5}
    assert key not in structured.content[0].text and "[secrets.aws-key]" in structured.content[0].text
    until(
        lambda: sidecar.rows("SELECT count() FROM findings WHERE rule = 'secrets.in' AND action = 'redact'")[0][0] >= 2,
        "the findings",
    )
    assert_nowhere(sidecar, webhook, key)


def assert_nowhere(sidecar: Installation, webhook: Webhook, key: str) -> None:
    """Not in the store, the outbox, a log, an alert, or the terminal."""
    done = subprocess.run(
        [sys.executable, "-m", "sidecar", "calls", "-c", str(sidecar.file), "--format", "json"],
        capture_output=True, timeout=60, check=True, cwd=sidecar.folder, env={"PYTHONPATH": str(ROOT), "PATH": "/usr/bin:/bin"},
    )  # fmt: skip
    assert b"echo" in done.stdout
    for name, text in (
        ("the disk", sidecar.kept_bytes()),
        ("an alert", json.dumps(webhook.received).encode()),
        ("the terminal", done.stdout + done.stderr),
        ("the record", repr(sidecar.rows("SELECT * FROM calls") + sidecar.rows("SELECT * FROM findings")).encode()),
    ):
        assert key.encode() not in name.encode() + text, f"the secret is in {name}"


def test_a_registered_secret_is_stopped_in_any_form_and_kept_nowhere(
    sidecar: Installation, fixture_server: tuple[int, Path], webhook: Webhook
) -> None:
    """A value that only the settings name, by its variable, does not leave, plain or encoded, and is written nowhere."""
    value = sidecar.registered
    encoded = base64.b64encode(f"user:{value}@db".encode()).decode()
    for text in (f"it is {value}", f"it is {encoded}"):
        said = asyncio.run(use(sidecar.url, "echo", {"text": text}))
        assert said.is_error and "secrets.registered" in said.content[0].text
    until(
        lambda: sidecar.rows("SELECT count() FROM findings WHERE kind = 'secrets.registered'")[0][0] >= 2,
        "the findings",
    )
    for each in (value, encoded[8:-8]):
        assert each not in fixture_server[1].read_text()
        assert_nowhere(sidecar, webhook, each)


def test_ordinary_calls_pass_and_are_stored(sidecar: Installation) -> None:
    """A call nobody objects to is in the record with both payloads, its session and the policy version that judged it."""
    text = f"ordinary {time.time_ns()}"
    assert asyncio.run(use(sidecar.url, "echo", {"text": text})).content[0].text == text
    columns = f"status, verdict, length(session), policy_version, position(response, '{text}') > 0"
    sql = f"SELECT {columns} FROM calls WHERE request LIKE '%{text}%'"
    status, verdict, session, version, has_response = until(lambda: sidecar.rows(sql), "the call in the record")[0]
    assert (status, verdict, session, has_response) == ("ok", "allow", 24, 1)
    assert sidecar.rows(f"SELECT count() FROM policies WHERE version = '{version}'")[0][0] >= 4


def test_the_page_shows_a_blocked_call_and_not_its_secret(sidecar: Installation, tab: "sync_api.Page") -> None:
    """The link of an alert opens the call with its rule and the masked value; the secret is nowhere in the page."""
    key = fresh_key()
    with ThreadPoolExecutor() as apart:
        # The browser's own loop runs in this thread.
        apart.submit(asyncio.run, use(sidecar.url, "echo", {"text": f"for the page: {key}"})).result()
    sql = "SELECT toString(call_id) FROM calls WHERE status = 'blocked' AND request LIKE '%for the page%'"
    (call_id,) = until(lambda: sidecar.rows(sql), "the blocked call")[0]
    sidecar.start("review", sidecar.page_port)
    try:
        for path, awaited in ((f"call?id={call_id}", "[secrets.aws-key #"), ("", "secrets.out"), ("findings", "secrets.out")):
            tab.goto(f"http://127.0.0.1:{sidecar.page_port}/{path}")
            # By text, because that also looks into the page's own components.
            tab.get_by_text(awaited).first.wait_for()
            assert tab.get_by_text(key).count() == 0
            assert key not in tab.content()
    finally:
        sidecar.programs.pop("review").stop()
