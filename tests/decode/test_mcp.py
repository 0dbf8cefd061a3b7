"""What a message is about, in every revision."""

import json
from pathlib import Path
from typing import Any

import pytest

from sidecar.decode import lossless, mcp
from sidecar.methods import METHODS
from sidecar.sessions.identity import Sessions

KEY = b"k" * 32


@pytest.mark.parametrize(
    ("message", "tool", "args"),
    [
        ({"method": "tools/call", "params": {"name": "get", "arguments": {"id": 7}}}, "get", {"id": 7}),
        ({"method": "tools/call", "params": {"name": "get"}}, "get", {}),
        ({"method": "prompts/get", "params": {"name": "p", "arguments": {"a": "b"}}}, "p", {"a": "b"}),
        ({"method": "resources/read", "params": {"uri": "file:///x"}}, "file:///x", {"uri": "file:///x"}),
        ({"method": "tasks/get", "params": {"taskId": "t"}}, "t", {"taskId": "t"}),
        ({"method": "completion/complete", "params": {"ref": {"name": "p"}}}, "p", {"ref": {"name": "p"}}),
        ({"method": "tools/call", "params": ["positional"]}, "", {}),
        ({"method": "tools/call", "params": {"name": 5, "arguments": "x"}}, "", {}),
        ({"method": "ping"}, "", {}),
    ],
)
def test_the_tool_and_arguments_of_a_message(message: dict[str, Any], tool: str, args: dict[str, Any]) -> None:
    """Policies see which tool is called with what, and nonsense where they would stand is nothing rather than a crash."""
    facts = mcp.facts(message)
    assert (facts.tool, facts.args) == (tool, args)


def test_the_client_of_both_eras() -> None:
    """A client says who it is in its handshake, or since 2026-07-28 in every request."""
    old = {"method": "initialize", "params": {"protocolVersion": "2025-06-18", "clientInfo": {"name": "c", "version": "1"}}}
    meta = {
        "io.modelcontextprotocol/protocolVersion": "2026-07-28",
        "io.modelcontextprotocol/clientInfo": {"name": "c", "version": "2"},
        "traceparent": "00-" + "a" * 32 + "-" + "b" * 16 + "-01",
    }
    new = mcp.facts({"method": "tools/list", "params": {"_meta": meta}})
    assert (mcp.facts(old).client, mcp.facts(old).protocol) == ("c", "2025-06-18")
    assert (new.client_version, new.protocol, new.trace_id) == ("2", "2026-07-28", "a" * 32)


@pytest.mark.parametrize(
    ("header", "protocol", "era"),
    [
        ("", "", "handshake"),
        ("2025-11-25", "", "handshake"),
        ("2026-07-28", "2026-07-28", "modern"),
        ("", "2026-07-28", "modern"),
    ],
)
def test_the_era_of_a_request(header: str, protocol: str, era: str) -> None:
    """The header decides, as it does for servers; the body counts where there is none."""
    assert mcp.era_of(header, protocol) == era


def test_numbers_keep_their_digits_when_a_message_is_rebuilt() -> None:
    """A list that is filtered still has every number as its server wrote it."""
    text = '{"a":1.0000000000000000001,"b":1e400,"c":-0.0,"d":123456789012345678901234567890,"e":["x",1.50,"\\ud800"]}'
    assert lossless.dumps(lossless.loads(text)).decode() == text


def test_recorded_traffic_of_every_revision_is_understood() -> None:
    """Every method in the recordings of real clients and servers is one we know."""
    folder = Path(__file__).parents[3] / "shared" / "ref" / "transcripts"
    if not folder.is_dir():
        pytest.skip("the recordings lie beside the checkout, and are not here")
    unknown = set()
    seen = 0

    def visit(value: Any) -> None:
        nonlocal seen
        if isinstance(value, dict):
            if isinstance(value.get("method"), str) and value.get("jsonrpc") == "2.0":
                seen += 1
                if value["method"] not in METHODS:
                    unknown.add(value["method"])
            for inner in value.values():
                visit(inner)
        elif isinstance(value, list):
            for inner in value:
                visit(inner)

    for file in folder.glob("http*.json"):
        visit(json.loads(file.read_text()))
    assert seen > 100
    assert not unknown


def session(sessions: Sessions, **known: Any) -> Any:
    blank = {"trace_id": "", "user": "", "client": "c", "address": "10.0.0.1", "server": "crm", "mcp_session": "", "now": 0.0}
    return sessions.session(**{**blank, **known})


def test_a_trace_is_one_session_across_servers() -> None:
    """A client that sends a trace id is followed from server to server."""
    sessions = Sessions(KEY)
    first = session(sessions, trace_id="a" * 32, server="crm", mcp_session="s1")
    second = session(sessions, trace_id="a" * 32, server="mail", mcp_session="s2")
    assert first == second and first.kind == "trace"


def test_a_session_id_of_the_wire_is_never_kept() -> None:
    """The wire's session id is a bearer secret: ours is a keyed hash, and another key gives another hash."""
    one = session(Sessions(KEY), mcp_session="wire-secret")
    other = session(Sessions(b"x" * 32), mcp_session="wire-secret")
    assert "wire-secret" not in one.id and one.id != other.id and one.kind == "mcp-session"


def test_silence_ends_a_conversation() -> None:
    """A client known only by its name and address starts a new session after half an hour of silence, not before."""
    sessions = Sessions(KEY)
    first = session(sessions, now=0.0)
    assert session(sessions, now=1700.0) == first
    assert session(sessions, now=3400.0) == first
    assert session(sessions, now=5300.0) != first
