"""A record to look at: six hours of believable calls, with every verdict and status, made from a fixed random seed.

``rows(now)`` gives the rows of each table of ``schema.sql``; columns left out are empty there. The calls that tests
name have ids of their own below. No text here is a credential: what looks like one is a masked preview made of parts.
"""

import json
import random
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any, Final
from uuid import UUID

Row = dict[str, Any]

NODE: Final = "node-a"
HOURS: Final = 6
CALLS: Final = 480

BLOCKED: Final = UUID("01900000-0000-7000-8000-00000000b10c")
"""A mail with an access key in its text, blocked before the server saw it."""
REDACTED: Final = UUID("01900000-0000-7000-8000-000000004ed1")
"""A customer read whose answer lost its e-mail addresses."""
HOSTILE: Final = UUID("01900000-0000-7000-8000-00000000bad0")
"""A call in which every text tries to become markup, a picture, a terminal command or reordered writing."""

KEY_PREVIEW: Final = "AK" + "IA…(20)"
HOSTILE_TEXT: Final = (
    "<script>window.hacked=1</script><img src=x onerror=window.hacked=1>"
    "![leak](http://leak.example/pixel.png) [click](javascript:alert(1)) **bold** :red[red] $x^2$"
    " \x1b[31mred\x1b[0m\x1b]0;title\x07 \u202egnirts desrever\u202c \u200bzero \U000e0041tag \x9b2J\x7f"
)

SECRETS_POLICY: Final = """version: 1
policy: secrets
owner: security@example.com
description: Credentials never leave through a tool's arguments.
mode: enforce
rules:
  - id: secrets.out
    title: A credential in the arguments of a call
    severity: critical
    match: {direction: request}
    when: {detect: {any: [secrets]}}
    action: block
    message: "Not sent: the arguments hold {kinds}."
"""
PERSONAL_POLICY: Final = """version: 1
policy: personal
owner: privacy@example.com
description: Personal data is taken out of what servers answer.
mode: enforce
rules:
  - id: pii.in-results
    title: Personal data in an answer
    severity: medium
    match: {direction: response}
    when: {detect: {any: [pii.email, pii.card]}}
    action: redact
"""
OLD_VERSION: Final = "1f0c9ad2b7e4"
VERSION: Final = "3f9c2a7be81d"
RELOAD_PROBLEM: Final = "policies/personal.yaml:12:7: error[unknown-field]: rules.0.whenn: 'whenn' is not a field here"

# fmt: off
_TOOLS: Final = (
    ("crm", "get_customer", 34), ("crm", "search_customers", 20), ("crm", "update_customer", 6),
    ("mail", "send_email", 14), ("mail", "list_inbox", 12), ("files", "read_file", 14),
)
_TOLD: Final = ("alert", "redact", "block")
_PEOPLE: Final = (("ada@example.com", "desk-client"), ("", "inspector"), ("lin@example.com", "agent"))
_TITLES: Final = {
    "secrets.out": "A credential in the arguments of a call", "pii.in-results": "Personal data in an answer",
    "rate.runaway": "One tool called far too often", "access.default": "A tool nobody listed",
    "hostile.text": HOSTILE_TEXT,
}
# fmt: on


def stamp(when: datetime) -> str:
    """A time as records write it."""
    return when.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S.%f")


def rows(now: datetime) -> dict[str, list[Row]]:
    """Every table's rows, all of them older than ``now``."""
    rng = random.Random(7)
    calls: list[Row] = []
    findings: list[Row] = []
    for call, found in _calls(rng, now):
        calls.append(call)
        findings.extend(found)
    told = [row for row in findings if row["mode"] == "enforce" and row["action"] in _TOLD]
    # fmt: off
    return {
        "calls": calls, "findings": findings, "policies": _policies(now), "health": _health(now),
        "alerts": [_alert(rng, number, found) for number, found in enumerate(told)],
    }
    # fmt: on


def health_row(when: datetime, process: str, metric: str, detail: str = "", value: float = 1, node: str = NODE) -> Row:
    """One row of ``health``."""
    identity = UUID(int=random.Random(f"{when} {metric}").getrandbits(128))
    # fmt: off
    return {
        "ts": stamp(when), "health_id": str(identity), "node": node, "process": process, "metric": metric,
        "value": value, "detail": detail,
    }
    # fmt: on


def broken_reload(when: datetime, node: str = NODE) -> Row:
    """The health row of a policy folder that does not load any more."""
    return health_row(when, "proxy", "policy_reload_failed", RELOAD_PROBLEM, node=node)


def call_row(rng: random.Random, when: datetime, **columns: Any) -> Row:
    """One complete row of ``calls``; ``columns`` replace what is otherwise made up."""
    # fmt: off
    row: Row = {
        "ts": stamp(when), "call_id": _uuid7(rng, when), "node": NODE, "transport": "http",
        "session": f"{rng.randrange(14):016x}", "session_kind": "mcp-session", "client": "agent",
        "client_version": "1.0", "client_address": "127.0.0.1", "server": "crm", "protocol": "2026-07-28",
        "era": "stateless", "direction": "request",
        "kind": "request", "method": "tools/call", "tool": "get_customer", "rpc_id": str(rng.randrange(1, 400)),
        "status": "ok", "http_status": 200, "verdict": "allow", "policy_version": VERSION,
        "duration_us": int(rng.lognormvariate(10.4, 0.8)), "overhead_us": int(rng.lognormvariate(6.6, 0.5)),
        "request_bytes": 240, "response_bytes": 2048, "request": "{}", "response": "{}", "bytes_scanned": 2288,
    }
    # fmt: on
    return row | columns


def finding_row(rng: random.Random, call: Row, **columns: Any) -> Row:
    """One row of ``findings`` about ``call``."""
    shared = ("ts", "call_id", "node", "session", "server", "method", "tool", "policy_version")
    rule = columns.get("rule", "secrets.out")
    # fmt: off
    row: Row = {
        "finding_id": str(UUID(int=rng.getrandbits(128))), "user": call.get("user", ""), "direction": "request",
        "rule": rule, "policy": "secrets", "title": _TITLES.get(rule, ""), "severity": "critical", "mode": "enforce",
        "action": "block", "kind": "secrets.aws-key", "path": "$.params.arguments.body",
        "fingerprint": f"{rng.getrandbits(64):016x}", "preview": KEY_PREVIEW, "confidence": 0.95, "count": 1,
    }
    # fmt: on
    return {name: call[name] for name in shared} | row | columns


def _calls(rng: random.Random, now: datetime) -> Iterator[tuple[Row, list[Row]]]:
    for index in range(CALLS):
        age_s = HOURS * 3600 * (1 - index / CALLS) ** 1.6 + rng.uniform(20, 60)
        yield _ordinary(rng, now - timedelta(seconds=age_s))
    yield _blocked(rng, now - timedelta(seconds=14), str(BLOCKED))
    yield _redacted(rng, now - timedelta(seconds=9), str(REDACTED))
    yield _hostile(rng, now - timedelta(hours=2))


def _ordinary(rng: random.Random, when: datetime) -> tuple[Row, list[Row]]:
    server, tool, _ = rng.choices(_TOOLS, weights=[weight for _, _, weight in _TOOLS])[0]
    user, client = rng.choice(_PEOPLE)
    call = call_row(rng, when, server=server, tool=tool, user=user, client=client)
    call |= {"request": _request(call, {"id": rng.randrange(999), "note": "as agreed by telephone"})}
    call |= {"response": _result(call, "contract renewed, next review in spring")}
    bare: Row = {"policy": "personal", "preview": "", "fingerprint": "", "path": ""}
    lot = rng.random()
    if lot < 0.10:
        return _listing(rng, call), []
    if lot < 0.21:
        return call | _unwell(lot), []
    if lot < 0.24:
        return _found(rng, call, **bare, rule="rate.runaway", kind="rate", severity="low", action="alert")
    if lot < 0.28:
        return _found(rng, call, **bare, rule="access.default", kind="access", severity="info", action="log")
    if lot < 0.31:
        return _found(rng, call | {"policy_version": OLD_VERSION}, mode="monitor", severity="high")
    if lot < 0.36:
        return _redacted(rng, when, call["call_id"])
    if lot < 0.39:
        return _blocked(rng, when, call["call_id"])
    return call, []


def _unwell(lot: float) -> Row:
    """What becomes of a call that fails; ``lot`` from 0.10 to 0.21 decides how."""
    if lot < 0.15:
        return {"status": "tool_error", "error_type": "tool_error", "error_message": "no such customer"}
    if lot < 0.17:
        return {"status": "error", "error_type": "-32602", "error_code": -32602, "error_message": "Invalid params"}
    if lot < 0.18:
        return {"status": "upstream_error", "error_type": "upstream_error", "http_status": 502, "response": ""}
    if lot < 0.19:
        return {"status": "cancelled", "response": "", "http_status": 0}
    if lot < 0.20:
        return {"status": "no_response", "response": "", "http_status": 0, "duration_us": 0}
    return {"bytes_skipped": 90_000, "skipped": ["not-text"], "truncated": 1, "response_bytes": 400_000}


def _listing(rng: random.Random, call: Row) -> Row:
    method = rng.choice(["tools/list", "tools/list", "server/discover", "resources/list", "notifications/cancelled"])
    call |= {"tool": "", "method": method, "duration_us": rng.randrange(900, 4_000)}
    if method.startswith("notifications/"):
        return call | {"kind": "notification", "status": "notification", "response": ""}
    return call | {"request": _request(call, {}), "response": _result(call, "3 tools")}


def _found(rng: random.Random, call: Row, **finding: Any) -> tuple[Row, list[Row]]:
    found = finding_row(rng, call, **finding)
    level = ("info", "low", "medium", "high", "critical").index(found["severity"]) + 1
    call |= {"findings": 1, "max_severity": level}
    if found["mode"] == "enforce":
        call |= {"verdict": found["action"], "rule": found["rule"]}
    return call, [found]


def _blocked(rng: random.Random, when: datetime, call_id: str) -> tuple[Row, list[Row]]:
    told = "Not sent: the arguments hold an AWS access key."
    call = call_row(rng, when, call_id=call_id, server="mail", tool="send_email", user="ada@example.com")
    call |= {"client": "desk-client", "status": "blocked", "error_message": told, "duration_us": 1_900}
    mail = {"to": "partner@example.org", "subject": "Access", "body": "Use [secrets.aws-key #4be1] until Friday."}
    result = {"content": [{"type": "text", "text": told}], "isError": True, "resultType": "complete"}
    return _found(rng, call | {"request": _request(call, mail), "response": _answer(call, result)})


def _redacted(rng: random.Random, when: datetime, call_id: str) -> tuple[Row, list[Row]]:
    call = call_row(rng, when, call_id=call_id, user="ada@example.com", client="desk-client")
    content = {"name": "A. Customer", "mail": "[pii.email #91c2]", "balance": 10.50, "open": True}
    result = {"content": [{"type": "text", "text": json.dumps(content)}], "structuredContent": content}
    call |= {"request": _request(call, {"id": 4211}), "response": _answer(call, result)}
    place: Row = {
        "direction": "response",
        "path": "$.result.structuredContent.mail",
        "preview": "a…@e…(17)",
        "count": 2,
    }
    what: Row = {"rule": "pii.in-results", "policy": "personal", "severity": "medium", "kind": "pii.email"}
    return _found(rng, call, **what, **place, action="redact")


def _hostile(rng: random.Random, when: datetime) -> tuple[Row, list[Row]]:
    everywhere = ("tool", "client", "client_version", "error_message", "trace_id", "rpc_id", "request")
    call = call_row(rng, when, call_id=str(HOSTILE), server="files", status="tool_error", error_type="tool_error")
    call |= dict.fromkeys(everywhere, HOSTILE_TEXT)
    call |= {"attrs": {HOSTILE_TEXT: HOSTILE_TEXT}, "skipped": [HOSTILE_TEXT], "bytes_skipped": 1}
    call |= {"response": _result(call, HOSTILE_TEXT)}
    text = dict.fromkeys(("path", "preview", "kind"), HOSTILE_TEXT)
    return _found(rng, call, **text, rule="hostile.text", policy="hostile", severity="high", action="alert")


def _request(call: Row, arguments: Row) -> str:
    params = {"name": call["tool"], "arguments": arguments} if call["tool"] else {}
    return json.dumps({"jsonrpc": "2.0", "id": int(call["rpc_id"]), "method": call["method"], "params": params})


def _result(call: Row, text: str) -> str:
    return _answer(call, {"content": [{"type": "text", "text": text}], "isError": False})


def _answer(call: Row, result: Row) -> str:
    identity = int(call["rpc_id"]) if call["rpc_id"].isdigit() else call["rpc_id"]
    return json.dumps({"jsonrpc": "2.0", "id": identity, "result": result}, ensure_ascii=False)


def _alert(rng: random.Random, number: int, finding: Row) -> Row:
    shared = ("ts", "finding_id", "call_id", "node", "rule", "severity", "server", "tool")
    row = {name: finding[name] for name in shared} | {"alert_id": str(UUID(int=rng.getrandbits(128)))}
    if number % 25 == 3:
        return row | {"channel": "webhook", "state": "failed", "attempts": 5, "latency_ms": 5_000, "error": "HTTP 503"}
    return row | {"channel": "webhook", "state": "sent", "attempts": 1, "latency_ms": rng.randrange(20, 400)}


def _policies(now: datetime) -> list[Row]:
    old = SECRETS_POLICY.replace("mode: enforce", "mode: monitor")
    files = (
        (HOURS, OLD_VERSION, "secrets.yaml", old),
        (HOURS, OLD_VERSION, "personal.yaml", PERSONAL_POLICY),
        (2, VERSION, "secrets.yaml", SECRETS_POLICY),
        (2, VERSION, "personal.yaml", PERSONAL_POLICY),
    )
    return [
        {"ts": stamp(now - timedelta(hours=age)), "node": NODE, "version": version, "path": path, "text": text}
        for age, version, path, text in files
    ]


def _health(now: datetime) -> list[Row]:
    def ago(minutes: float) -> datetime:
        return now - timedelta(minutes=minutes)

    start = HOURS * 60 - 1
    return [
        health_row(ago(start), "collector", "collector_started"),
        health_row(ago(start), "proxy", "proxy_started"),
        health_row(ago(start), "proxy", "policy_loaded", OLD_VERSION),
        broken_reload(ago(126)),
        health_row(ago(120), "proxy", "policy_loaded", VERSION),
        health_row(ago(70), "collector", "store_unreachable", "the store did not answer for 4 s"),
        health_row(ago(55), "collector", "rows_lost", "2 rows did not fit the table; see dead-letter.jsonl", 2),
    ]


def _uuid7(rng: random.Random, when: datetime) -> str:
    millis = int(when.timestamp() * 1000)
    return str(UUID(int=millis << 80 | 7 << 76 | rng.getrandbits(12) << 64 | 2 << 62 | rng.getrandbits(62)))
