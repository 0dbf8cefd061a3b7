"""Custom kinds on live traffic: they judge, redact and mask like the built-in ones, and change together with the rules."""

import asyncio
import base64
import contextlib
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from sidecar import exact_lists
from sidecar.detect.custom import key_of
from sidecar.policy.load import PolicySet
from sidecar.proxy.policy_reloader import PolicyReloader
from tests.play import ENGINE, Play

KEY = "a key of lists for tests"

STAFF = r"""
version: 1
policy: own
mode: enforce
detectors:
  staff: {regex: '\bOC-\d{6}\b'}
rules:
  - id: own.out
    title: A staff number leaves
    match: {direction: request}
    when: {detect: {any: [staff]}}
    action: block
  - id: own.in
    title: A staff number arrives
    match: {direction: response}
    when: {detect: {any: [staff]}}
    action: redact
tests:
  - {name: out, call: {server: a, tool: t, args: {x: OC-123456}}, expect: {verdict: block, rules: [own.out]}}
  - name: in
    call: {server: a, tool: t, args: {}, result: {x: OC-123456}}
    expect: {verdict: redact, rules: [own.in]}
  - {name: ordinary, call: {server: a, tool: t, args: {x: hello}}, expect: {verdict: allow}}
"""

CUSTOMERS = (
    STAFF.replace(r"  staff: {regex: '\bOC-\d{6}\b'}", "  staff: {exact: {file: c.hmac, column: name, key: env:LIVE_KEY}}")
    .replace("OC-123456", "Grace Hopper")
    .replace("  - {name: ", "  - {given: {exact: {staff: [Grace Hopper]}}, name: ")
    .replace("  - name: in", "  - name: in\n    given: {exact: {staff: [Grace Hopper]}}")
)


def call(text: str, rpc_id: int = 1) -> dict[str, Any]:
    return {"jsonrpc": "2.0", "id": rpc_id, "method": "tools/call", "params": {"name": "echo", "arguments": {"text": text}}}


def result(text: str, rpc_id: int = 1) -> dict[str, Any]:
    return {"jsonrpc": "2.0", "id": rpc_id, "result": {"content": [{"type": "text", "text": text}]}}


@pytest.fixture
def customers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A policy whose list holds two people, in the folder of ``play``."""
    monkeypatch.setenv("LIVE_KEY", KEY)
    (tmp_path / "policies").mkdir()
    exact_lists.build(iter(["Grace Hopper", "Ada Lovelace"]), key_of(KEY), "name", tmp_path / "policies/c.hmac")
    return CUSTOMERS


@pytest.mark.parametrize("read", [str, lambda text: base64.b64encode(f"this is about {text}, as said".encode()).decode()])
@pytest.mark.parametrize("value", ["Grace Hopper", "GRACE  HOPPER", "ada, lovelace"])
def test_a_value_of_a_list_is_found_both_ways_and_never_recorded(play: Any, customers: str, value: str, read: Any) -> None:
    """A listed customer does not leave, is cut out of what arrives, and stands nowhere in the record, also in base64."""
    sidecar: Play = play(customers)
    assert sidecar.post(call(read(value))).reply is not None
    said = sidecar.answer(sidecar.post(call("hello", 2)), result(read(value), 2))
    assert b"[staff]" in said and read(value).encode() not in said
    assert (
        sidecar.answer(sidecar.post(call("hello", 3)), result("Grace Murray", 3))
        == json.dumps(result("Grace Murray", 3)).encode()
    )
    assert [row["kind"] for row in sidecar.findings] == ["staff", "staff"]
    for form in (value, read(value), "Grace Hopper"):
        assert form.encode() not in sidecar.everything


def test_the_record_masks_custom_kinds_and_says_who_looked(play: Any) -> None:
    """What no rule acts on is masked in the record all the same; the number and version of detectors count custom kinds."""
    sidecar: Play = play(STAFF.partition("tests:")[0].replace("mode: enforce", "mode: monitor"))
    sidecar.answer(sidecar.post(call("ask OC-123456")), result("OC-654321 says yes"))
    assert b"OC-123456" not in sidecar.everything and b"OC-654321" not in sidecar.everything
    (row,) = sidecar.calls
    assert row["detectors"] == len(ENGINE._detectors) + 1 and row["detectors_version"] not in ("", ENGINE.version)


@contextlib.asynccontextmanager
async def watched(sidecar: Play, folder: Path) -> AsyncIterator[tuple[asyncio.Event, asyncio.Event]]:
    """A folder whose policies are in force in ``sidecar`` as they change; events for a change taken and one refused."""
    turned, refused = asyncio.Event(), asyncio.Event()

    def changed(policies: PolicySet) -> None:
        sidecar.in_force.current = policies
        turned.set()

    live = PolicyReloader(folder, ENGINE, sidecar.in_force.current, changed, lambda problems: refused.set())
    watching = asyncio.ensure_future(live.watch())
    try:
        yield turned, refused
    finally:
        watching.cancel()


def test_an_edit_changes_rules_and_kinds_at_once_and_a_broken_one_neither(play: Any, tmp_path: Path) -> None:
    """A new kind is in force for the next message; a wrong one is refused and the last good version goes on judging."""
    sidecar: Play = play(STAFF)
    asyncio.run(_edits(sidecar, tmp_path / "policies"))


async def _edits(sidecar: Play, folder: Path) -> None:
    async with watched(sidecar, folder) as (turned, refused):
        assert sidecar.post(call("OC-123456")).reply and not sidecar.post(call("XY-1234", 2)).reply
        (folder / "0.yaml").write_text(STAFF.replace(r"OC-\d{6}", r"XY-\d{4}").replace("OC-123456", "XY-1234"))
        await asyncio.wait_for(turned.wait(), 20)
        assert sidecar.post(call("XY-1234", 3)).reply and not sidecar.post(call("OC-123456", 4)).reply
        (folder / "0.yaml").write_text(STAFF.replace(r"OC-\d{6}", r"(?=OC)"))
        await asyncio.wait_for(refused.wait(), 20)
        assert sidecar.post(call("XY-1234", 5)).reply and not sidecar.post(call("OC-123456", 6)).reply


def test_a_list_that_is_built_anew_is_in_force_without_an_edit(play: Any, customers: str, tmp_path: Path) -> None:
    """Tonight's export is looked for as soon as its list is written; a damaged one changes nothing."""
    sidecar: Play = play(customers)
    asyncio.run(_lists(sidecar, tmp_path / "policies"))


async def _lists(sidecar: Play, folder: Path) -> None:
    async with watched(sidecar, folder) as (turned, refused):
        assert not sidecar.post(call("Emmy Noether")).reply
        exact_lists.build(iter(["Emmy Noether"]), key_of(KEY), "name", folder / "c.hmac")
        await asyncio.wait_for(turned.wait(), 20)
        assert sidecar.post(call("Emmy Noether", 2)).reply and not sidecar.post(call("Ada Lovelace", 3)).reply
        (folder / "c.hmac").write_bytes(b"damaged")
        await asyncio.wait_for(refused.wait(), 20)
        assert sidecar.post(call("Emmy Noether", 4)).reply
