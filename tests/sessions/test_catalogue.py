"""What a client may list changes with the policies, and clients that listen are told."""

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from sidecar import limits
from sidecar.proxy.policy_reloader import load_tested
from tests.exchange.test_pipeline import data_of
from tests.play import ACCESS, ENGINE, SECRETS, aws_key

LIST = {"jsonrpc": "2.0", "id": 1, "method": "tools/list"}
TOOLS = {"tools": [{"name": "get"}, {"name": "delete_all"}]}


def edit(sidecar: Any, folder: Path, *policies: str) -> None:
    """Put other policies in force, as a saved file does."""
    folder.mkdir()
    for number, text in enumerate(policies):
        (folder / f"{number}.yaml").write_text(text)
    judging = sidecar.pipeline.services.message_judge
    old, new = judging._policies.current, load_tested(folder, ENGINE)
    judging._policies = SimpleNamespace(current=new)
    sidecar.pipeline.policies_changed(old, new)


def listen(sidecar: Any, rpc_id: str, **wanted: bool) -> Any:
    """A subscription of 2026-07-28 that the server has acknowledged."""
    asked = {"jsonrpc": "2.0", "id": rpc_id, "method": "subscriptions/listen", "params": {"notifications": wanted}}
    exchange = sidecar.post(asked, mcp_protocol_version="2026-07-28")
    meta = {"io.modelcontextprotocol/subscriptionId": rpc_id}
    acknowledged = {"_meta": meta, "notifications": wanted}
    sidecar.stream(exchange)(
        {"jsonrpc": "2.0", "method": "notifications/subscriptions/acknowledged", "params": acknowledged}
    )  # fmt: skip
    return exchange


def test_a_session_that_listed_is_told_when_its_list_changes(play: Any, tmp_path: Path) -> None:
    """Of three sessions, the one that listed and listens hears of it; an edit that hides nothing new tells nobody."""
    sidecar = play(SECRETS)
    for session in ("listed", "deaf"):
        sidecar.answer(sidecar.post(LIST, mcp_session_id=session), {"jsonrpc": "2.0", "id": 1, "result": TOOLS})
    stream = sidecar.get(mcp_session_id="listed")
    sidecar.stream(stream)
    sidecar.stream(sidecar.get(mcp_session_id="never-listed"))
    edit(sidecar, tmp_path / "same", SECRETS, ACCESS.replace("delete_*", "drop_*").replace("delete_all", "drop_all"))
    assert sidecar.injected == []
    edit(sidecar, tmp_path / "hides", SECRETS, ACCESS)
    ((where, event),) = sidecar.injected
    assert where is stream
    assert data_of(event) == {"jsonrpc": "2.0", "method": "notifications/tools/list_changed"}
    row = sidecar.calls[-1]
    assert (row["method"], row["attrs"]) == ("notifications/tools/list_changed", {"sent_by": "sidecar"})
    edit(sidecar, tmp_path / "back", SECRETS)
    assert len(sidecar.injected) == 2, "what is shown again is news too"


def test_a_subscription_is_told_what_it_asked_for(play: Any, tmp_path: Path) -> None:
    """Only a filter that was acknowledged with tools, with its own subscription's id; a closed one is told nothing."""
    sidecar = play(SECRETS)
    sidecar.answer(sidecar.post(LIST, mcp_protocol_version="2026-07-28"), {"jsonrpc": "2.0", "id": 1, "result": TOOLS})
    wanting = listen(sidecar, "listen-1", toolsListChanged=True)
    listen(sidecar, "listen-2", promptsListChanged=True)
    gone = listen(sidecar, "listen-3", toolsListChanged=True)
    sidecar.pipeline.close(gone, "client")
    edit(sidecar, tmp_path / "hides", SECRETS, ACCESS)
    ((where, event),) = sidecar.injected
    assert where is wanting
    params = {"_meta": {"io.modelcontextprotocol/subscriptionId": "listen-1"}}
    assert data_of(event) == {"jsonrpc": "2.0", "method": "notifications/tools/list_changed", "params": params}


def test_a_list_that_a_policy_changed_is_not_kept_for_long(play: Any) -> None:
    """A filtered or redacted list is private and soon asked for again; what stays, stays as the server wrote it."""
    sidecar = play(SECRETS, ACCESS)
    body = b'{"jsonrpc":"2.0","id":1,"result":{"tools":[{"name":"get","x":1.00},%s],"ttlMs":86400000,"cacheScope":"public"}}'
    got = json.loads(sidecar.answer(sidecar.post(LIST), body % b'{"name":"delete_all"}'))
    assert got["result"] == {"tools": [{"name": "get", "x": 1.0}], "ttlMs": limits.LIST_TTL_MS_MAX, "cacheScope": "private"}
    redacted = sidecar.answer(sidecar.post(LIST), body % b'{"name":"b","description":"%s"}' % aws_key().encode())
    said = json.loads(redacted)["result"]
    assert (said["ttlMs"], said["cacheScope"]) == (limits.LIST_TTL_MS_MAX, "private")
    assert b'"x":1.00' in redacted
    untouched = body % b'{"name":"b"}'
    assert sidecar.answer(sidecar.post(LIST), untouched) is untouched
    short = body.replace(b"86400000", b"5") % b'{"name":"delete_all"}'
    assert json.loads(sidecar.answer(sidecar.post(LIST), short))["result"]["ttlMs"] == 5
