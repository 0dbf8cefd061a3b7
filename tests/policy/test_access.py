"""Who may use what, and what is therefore listed."""

from datetime import datetime
from itertools import permutations
from typing import Any

import pytest

from sidecar.events import Caller, Message, Scan, Verdict
from sidecar.policy.judge import is_listed, judge
from sidecar.policy.load import PolicySet, load_texts
from sidecar.policy.memory import State

MONDAY = datetime.fromisoformat("2026-11-23T09:00:00+00:00").timestamp()
SUNDAY = datetime.fromisoformat("2026-11-22T22:00:00+00:00").timestamp()

POLICY = """
version: 1
policy: access
mode: enforce
severity: high
access:
  default: deny
  message: Ask the platform team for {tool} on {server}.
  allow:
    - id: handshake
      match: {method: [initialize, server/discover, ping, "*/list", notifications/*]}
    - id: everyone-reads-tools
      match: {tool: [get_*, list_*, search_*, read_*]}
    - id: engineers-write
      match: {group: engineering, server: [git, tickets]}
    - id: finance-office-hours
      match:
        group: finance
        server: billing
        hours: {days: [mon, tue, wed, thu, fri], between: "08:00-18:00", zone: Europe/Paris}
    - id: small-refunds
      match: {group: support, server: billing, tool: refund}
      expr: 'has(call.args.amount) && double(call.args.amount) <= 50.0'
  deny:
    - id: no-shell
      match: {tool: [bash, shell, exec, run_command, "*_shell"]}
    - id: contractors-no-hr
      match: {group: contractors, server: hr}
    - id: no-huge-export
      match: {tool: get_export}
      expr: call.args.rows > 1000
tests:
  - {name: ordinary, call: {server: crm, tool: get_customer}, expect: {verdict: allow}}
"""


def loaded(*texts: str) -> PolicySet:
    """Policies from texts."""
    return load_texts([(f"{number}.yaml", text) for number, text in enumerate(texts)], {"pii.card"})


def call(server: str, tool: str = "", groups: tuple[str, ...] = (), args: Any = None, **changes: Any) -> Message:
    """A call of a tool, or the handshake."""
    args = args or {}
    values: dict[str, Any] = {
        "direction": "request",
        "kind": "request",
        "method": "tools/call" if tool else "initialize",
        **changes,
    }
    return Message(server, tool=tool, args=args, payload={"params": {"arguments": args}}, caller=Caller("u", groups), **values)


def judged(policies: PolicySet, message: Message, now: float = MONDAY, cap: Any = "enforce") -> Verdict:
    """The verdict on a message in which nothing was detected."""
    return judge(policies, message, Scan(), State(), now, str, cap)


@pytest.mark.parametrize(
    ("message", "now", "rule"),
    [
        (call("crm", "get_customer"), MONDAY, ""),
        (call("crm"), MONDAY, ""),
        (call("hr", "get_salary", ("contractors", "engineering")), MONDAY, "contractors-no-hr"),
        (call("git", "bash", ("engineering",)), MONDAY, "no-shell"),
        (call("git", "push", ("engineering",)), MONDAY, ""),
        (call("git", "push", ("sales",)), MONDAY, "access.default"),
        (call("git", "push"), MONDAY, "access.default"),
        (call("billing", "create_invoice", ("finance",)), MONDAY, ""),
        (call("billing", "create_invoice", ("finance",)), SUNDAY, "access.default"),
        (call("billing", "refund", ("support",), {"amount": 49.5}), MONDAY, ""),
        (call("billing", "refund", ("support",), {"amount": 51}), MONDAY, "access.default"),
        (call("billing", "refund", ("support",)), MONDAY, "access.default"),
        (call("crm", "get_export", args={"rows": 5}), MONDAY, ""),
        (call("crm", "get_export", args={"rows": 5000}), MONDAY, "no-huge-export"),
    ],
)
def test_deny_wins_over_allow_and_allow_over_the_default(message: Message, now: float, rule: str) -> None:
    """Each caller gets what the file says, and nothing beyond."""
    verdict = judged(loaded(POLICY), message, now)
    assert (verdict.action, verdict.rule) == (("block", rule) if rule else ("allow", ""))
    assert verdict.message == (f"Ask the platform team for {message.tool} on {message.server}." if rule else "")
    assert [(each.kind, each.rule, each.severity, each.action) for each in verdict.findings] == (
        [("access", rule, "high", "block")] if rule else []
    )


@pytest.mark.parametrize("change", [{"direction": "response", "kind": "result"}, {"direction": "response"}, {"kind": "result"}])
def test_access_is_about_calls_only(change: dict[str, Any]) -> None:
    """Answers either way, and what servers send, are for rules: refusing them would break calls that were allowed."""
    assert judged(loaded(POLICY), call("git", "bash", **change)).action == "allow"


def test_an_expression_that_fails_opens_nothing() -> None:
    """A deny that cannot be judged denies, an allow that cannot be judged does not allow, and both are visible."""
    denied = judged(loaded(POLICY), call("crm", "get_export", args={"rows": "many"}))
    assert (denied.action, [(each.rule, each.kind) for each in denied.findings]) == (
        "block",
        [("no-huge-export", "error")],
    )
    refund = judged(loaded(POLICY), call("billing", "refund", ("support",), {"amount": "much"}))
    assert refund.rule == "access.default"
    assert [(each.rule, each.kind, each.action) for each in refund.findings] == [
        ("access.default", "access", "block"),
        ("small-refunds", "error", "alert"),
    ]


def test_rules_are_judged_on_denied_calls_too() -> None:
    """A refused call that also carries something is seen carrying it."""
    rules = "version: 1\npolicy: r\nrules: [{id: seen, title: t, match: {server: git}, action: alert}]\n"
    verdict = judged(loaded(POLICY, rules), call("git", "bash"))
    assert [each.rule for each in verdict.findings] == ["no-shell", "seen"]


def test_order_of_files_does_not_matter() -> None:
    """Access spread over several files means the same in any order of them."""
    files = [
        (
            "version: 1\npolicy: a\nmode: enforce\naccess: {default: deny}\ntests: [{name: n, call: {server: x}, "
            "expect: {verdict: allow}}]\n"
        ),
        "version: 1\npolicy: b\nmode: enforce\naccess: {allow: [{id: reads, match: {tool: 'get_*'}}]}\n",
        (
            "version: 1\npolicy: c\nmode: enforce\naccess: {deny: [{id: no-salary, match: {tool: "
            "get_salary}}]}\ntests: [{name: n, call: {server: x}, expect: {verdict: allow}}]\n"
        ),
    ]
    for order in permutations(files):
        policies = loaded(*order)
        assert judged(policies, call("hr", "get_name")).action == "allow"
        assert judged(policies, call("hr", "get_salary")).rule == "no-salary"
        assert judged(policies, call("hr", "set_name")).rule == "access.default"


def test_an_enforced_denial_is_told_once() -> None:
    """What is refused anyway leaves one finding, not a second one from a file that is only monitored."""
    watched = "version: 1\npolicy: b\naccess: {deny: [{id: a-watched, match: {tool: bash}}]}\n"
    policies = loaded(POLICY, watched)
    assert [each.rule for each in judged(policies, call("git", "bash")).findings] == ["no-shell"]


def test_a_refusal_always_says_something() -> None:
    """A file without a message still tells the model why nothing happened."""
    silent = POLICY.replace("  message: Ask the platform team for {tool} on {server}.\n", "")
    assert judged(loaded(silent), call("git", "bash")).message == "You may not use this here."


def test_monitored_access_changes_nothing() -> None:
    """A file that is only monitored neither refuses nor allows, and says whom it would have refused."""
    watched = POLICY.replace("mode: enforce", "mode: monitor")
    verdict = judged(loaded(watched), call("git", "bash"))
    assert (verdict.action, [(each.rule, each.mode) for each in verdict.findings]) == (
        "allow",
        [("no-shell", "monitor")],
    )
    assert judged(loaded(POLICY), call("git", "bash"), cap="monitor").action == "allow"
    opening = "version: 1\npolicy: b\naccess: {allow: [{id: all, match: {server: '*'}}]}\n"
    assert judged(loaded(POLICY, opening), call("git", "push")).rule == "access.default"
    assert judged(loaded(POLICY.replace("mode: enforce", "mode: off")), call("git", "bash")).findings == ()


def listed(
    policies: PolicySet,
    tool: str,
    groups: tuple[str, ...] = (),
    server: str = "billing",
    now: float = MONDAY,
    cap: Any = "enforce",
) -> bool:
    """Whether a caller sees the tool."""
    return is_listed(policies, call(server, tool, groups), now, cap)


def test_tools_that_may_not_be_used_are_not_listed() -> None:
    """What access refuses, a caller does not see; what depends on arguments, it does."""
    policies = loaded(POLICY)
    assert policies.hides
    assert listed(policies, "get_invoice")
    assert not listed(policies, "bash", ("engineering",), "git")
    assert listed(policies, "push", ("engineering",), "git")
    assert not listed(policies, "push", (), "git")
    assert listed(policies, "refund", ("support",))
    assert not listed(policies, "refund", ("sales",))
    assert listed(policies, "get_export")
    assert listed(policies, "create_invoice", ("finance",))
    assert not listed(policies, "create_invoice", ("finance",), now=SUNDAY)


def test_what_is_not_enforced_hides_nothing() -> None:
    """With hide off, in monitor, or under a cap, every tool is listed."""
    for text in (
        POLICY.replace("default: deny", "default: deny\n  hide: false"),
        POLICY.replace("mode: enforce", "mode: monitor"),
    ):
        assert not loaded(text).hides
        assert listed(loaded(text), "bash", (), "git")
    assert listed(loaded(POLICY), "bash", (), "git", cap="monitor")


def test_an_expression_about_the_caller_hides() -> None:
    """Who asks for which tool and when is known when tools are listed."""
    text = """
version: 1
policy: p
mode: enforce
access:
  default: allow
  deny: [{id: a, expr: 'call.tool.startsWith("drop_") && !("dba" in groups)'}]
tests: [{name: n, call: {server: x}, expect: {verdict: allow}}]
"""
    assert not listed(loaded(text), "drop_table")
    assert listed(loaded(text), "drop_table", ("dba",))
