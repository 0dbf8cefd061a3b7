"""The tests inside policy files, run through the real path: JSON-RPC messages, scanned, judged and redacted."""

import hashlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from typing import Any, Final, Protocol

import orjson
import re2

from sidecar.decode import mcp
from sidecar.detect import Texts, walk
from sidecar.detect.custom import CustomKinds
from sidecar.events import ACTIONS, Action, Caller, Direction, Kind, Message, Path, Scan, Span, Verdict, path_text
from sidecar.inventory import build_definition, describe_hidden_text
from sidecar.methods import is_notification, method_of
from sidecar.policy.case_model import Case, CaseCall, CaseDefinition, CaseExpect
from sidecar.policy.conditions.protocol import Subject
from sidecar.policy.explain import explain
from sidecar.policy.facts import Facts
from sidecar.policy.fakes import expand
from sidecar.policy.judge import judge
from sidecar.policy.memory import State
from sidecar.policy.named_tokens import NamedTokens, NoSuchToken
from sidecar.policy.policy_set import PlacedCase, PolicySet
from sidecar.policy.restore import with_payload

_START: Final = datetime(2026, 11, 23, 10, 0, tzinfo=UTC).timestamp()
"""When a test begins that names no time: a Monday morning."""
_STEP_S: Final = 0.01

Redact = Callable[[Any, Iterable[Span], Callable[[Span], str], Mapping[Path, Any]], Any]
"""``redact(payload, spans, mark, values)``: a copy with a mark in place of every span, and other leaves in place of some."""


class ScanEngine(Protocol):
    """What scans a message: ``sidecar.detect.engine.Engine``."""

    def scan(self, texts: Texts, custom: CustomKinds) -> Scan:
        """The spans in the texts of one message, those of custom kinds among them."""
        ...


@dataclass(frozen=True, slots=True)
class Result:
    """One test that ran. ``differences`` says what was expected and what came, never a value; none: it passed."""

    file: str
    line: int
    column: int
    policy: str
    name: str
    differences: tuple[str, ...]
    reasons: tuple[str, ...] = ()
    """Of a failed test: why each rule that is in question held in its last step, or did not."""

    @property
    def has_passed(self) -> bool:
        """Whether everything came as expected."""
        return not self.differences


@dataclass(slots=True)
class _Seen:
    """What became of one step: both ways together."""

    action: Action = "allow"
    message: str = ""
    rules: set[str] = field(default_factory=set)
    would: set[str] = field(default_factory=set)
    payloads: dict[Direction, Any] = field(default_factory=dict)
    subjects: list[Subject] = field(default_factory=list)


def run(policies: PolicySet, engine: ScanEngine, redact: Redact, keyword: str = "") -> list[Result]:
    """Run every test whose name, file or policy contains ``keyword``, each against the rules of its own file alone."""
    alone: dict[str, PolicySet] = {}
    results = []
    for test in policies.tests:
        if not any(keyword in text for text in (test.case.name, test.file, test.policy)):
            continue
        file = alone.setdefault(test.policy, policies.only(test.policy))
        results.append(_run(test, file, engine, redact))
    return results


def _run(test: PlacedCase, policies: PolicySet, engine: ScanEngine, redact: Redact) -> Result:
    runner = _Runner(policies, engine, redact)
    reasons: tuple[str, ...] = ()
    try:
        case = Case.model_validate(expand(test.case.model_dump(exclude_unset=True)))
        runner.give(case.given.exact)
        for call in case.all_steps:
            for _ in range(call.repeat):
                runner.step(call)
        differences = tuple(_differences(case.expect, runner.seen))
        if differences:
            reasons = tuple(_reasons(policies, case.expect, runner.seen))
    except NoSuchToken as error:
        differences = (f"${{token:{error}}} names no token that an earlier step of this test made",)
    except Exception as error:
        differences = (f"the test itself failed ({type(error).__name__}); fix its call",)
    return Result(test.file, test.line, test.column, test.policy, test.case.name, differences, reasons)


class _Runner:
    """The steps of one test, with windows and sessions of its own. ``seen`` is what became of the last one."""

    def __init__(self, policies: PolicySet, engine: ScanEngine, redact: Redact) -> None:
        self.seen = _Seen()
        self._policies, self._engine, self._redact = policies, engine, redact
        self._state = State()
        self._tokens = NamedTokens()
        self._now = _START
        self._scan: Callable[[Texts], Scan] = partial(engine.scan, custom=policies.custom)

    def give(self, lists: Mapping[str, Sequence[str]]) -> None:
        """Lists hold what the test names and nothing else, so that it comes out the same wherever it runs."""
        self._scan = partial(self._engine.scan, custom=self._policies.custom.with_lists(lists))

    def step(self, call: CaseCall) -> None:
        """A message one way and, unless it was stopped, its answer the other way."""
        self._now = datetime.fromisoformat(call.at).timestamp() if call.at else self._now + _STEP_S
        self.seen = _Seen()
        if call.definition is not None:
            self._judge_definition(call, call.definition)
            return
        call = call.model_copy(update={"args": self._tokens.filled(call.args), "result": self._tokens.filled(call.result)})
        kind: Kind = "notification" if is_notification(call.method) else "request"
        request: dict[str, Any] = {"jsonrpc": "2.0", "method": call.method, "params": _params(call)}
        first = self._judge(call, call.direction, kind, request, request)
        if first.action == "block" or call.result is None:
            return
        response: dict[str, Any] = {"jsonrpc": "2.0", "id": 1, "result": _result(call)}
        self._judge(call, "response" if call.direction == "request" else "request", "result", request, response)

    def _judge(
        self, call: CaseCall, direction: Direction, kind: Kind, request: Mapping[str, Any], payload: dict[str, Any]
    ) -> Verdict:
        if kind == "request":
            payload = {**payload, "id": 1}
        about = mcp.facts(request)
        caller = Caller(call.user, tuple(call.groups), call.client)
        size = len(orjson.dumps(payload))
        message = Message(
            call.server, direction, kind, about.method, about.tool, about.args, payload, size, caller, call.session
        )
        scan, standing = self._tokens.vault.scan_message(self._scan, message)
        if standing and direction == "request":
            restored = self._tokens.restored(self._policies, message, standing, self._now)
            payload = self._redact(payload, restored.spans, restored.value, restored.numbers)
            message = with_payload(message, payload)
            scan, _ = self._tokens.vault.scan_message(self._scan, message)
        return self._decide(message, scan)

    def _decide(self, message: Message, scan: Scan) -> Verdict:
        verdict = judge(self._policies, message, scan, self._state, self._now, _fingerprint, "enforce")
        facts = Facts(message, self._now, *self._state.session(message.session))
        self.seen.subjects.append(Subject(facts, scan, self._state))
        self._note(verdict, message)
        return verdict

    def _judge_definition(self, call: CaseCall, given: CaseDefinition) -> None:
        """One entry of a list, as the inventory of a running sidecar would see it. It is listed, or it is withheld."""
        entry: dict[str, Any] = {"name": call.tool, "description": given.description}
        entry["annotations"] = {"readOnlyHint": given.read_only, "destructiveHint": given.destructive}
        previous = given.digest if given.previous_digest is None else given.previous_digest
        signs: dict[str, str] = {"changed": "in a test"} if previous and previous != given.digest else {}
        if given.new:
            previous, signs["new"] = "", "in a test"
        payload = {"result": entry}
        if hidden := describe_hidden_text(entry, self._scan(walk(payload)).spans, None):
            signs["hidden-text"] = hidden
        if given.shadows:
            signs["shadows"] = ", ".join(given.shadows)
        message = Message(
            server=call.server,
            direction="response",
            kind="result",
            method=call.method,
            tool=call.tool,
            payload=payload,
            size=len(orjson.dumps(payload)),
            caller=Caller(call.user, tuple(call.groups), call.client),
            session=call.session,
            definition=build_definition(given.digest, previous, entry, signs, set()),
        )
        scan, _ = self._tokens.vault.scan_message(self._scan, message)
        self._decide(message, scan)

    def _note(self, verdict: Verdict, message: Message) -> None:
        seen = self.seen
        for finding in verdict.findings:
            (seen.rules if finding.is_enforced else seen.would).add(finding.rule)
        if ACTIONS.index(verdict.action) >= ACTIONS.index(seen.action):
            seen.action, seen.message = verdict.action, verdict.message
        if verdict.action != "block":
            replacements = self._tokens.replacements(message, verdict, self._now)
            sent = self._redact(message.payload, verdict.redactions, replacements, replacements.numbers)
            seen.payloads[message.direction] = self._tokens.named(sent)


def _fingerprint(value: str) -> str:
    return hashlib.sha256(b"test" + value.encode("utf-8", "surrogatepass")).hexdigest()[:16]


def _params(call: CaseCall) -> dict[str, Any]:
    """The parameters that carry a tool's name and arguments, in the form of the method."""
    method = method_of(call.method)
    if method.arguments:
        return {method.subject: call.tool, method.arguments: call.args}
    if not call.tool:
        return dict(call.args)
    if not method.subject or method.subject == "ref":
        return {"ref": {"type": "ref/prompt", "name": call.tool}, **call.args}
    return {method.subject: call.tool, **call.args}


def _result(call: CaseCall) -> Any:
    """A tool's result as servers send it: text, and where it is an object the same once more as structured content."""
    if not method_of(call.method).is_tool_call:
        return call.result
    text = call.result if isinstance(call.result, str) else orjson.dumps(call.result).decode()
    result: dict[str, Any] = {"content": [{"type": "text", "text": text}]}
    if isinstance(call.result, dict):
        result["structuredContent"] = call.result
    return {**result, "isError": True} if call.is_error else result


def _differences(expect: CaseExpect, seen: _Seen) -> Iterable[str]:
    if not _is_expected(seen.action, expect):
        yield f"verdict: expected {expect.verdict}, got {seen.action}"
    for name, wanted, were in (("rules", expect.rules, seen.rules), ("would", expect.would, seen.would)):
        if wanted is not None and set(wanted) != were:
            yield f"{name}: expected {_listed(wanted)}, got {_listed(were)}"
    if expect.message is not None and re2.search(expect.message, seen.message) is None:
        yield f"message: expected {expect.message!r}, got {seen.message!r}"
    ways: tuple[tuple[str, Direction], ...] = (("sent", "request"), ("returned", "response"))
    for name, way in ways:
        if name not in expect.model_fields_set:
            continue
        payload = seen.payloads.get(way)
        if payload is None:
            yield f"{name}: expected a payload, got nothing: it was stopped, or the step has no 'result'"
        else:
            yield from _unequal(name, getattr(expect, name), _carried(payload), ())


def _is_expected(action: Action, expect: CaseExpect) -> bool:
    """Whether a verdict is the expected one; what is only noted is allowed too."""
    return action == expect.verdict or (expect.verdict == "allow" and action in ("log", "alert"))


def _reasons(policies: PolicySet, expect: CaseExpect, seen: _Seen) -> Iterable[str]:
    """Of the last step, why each unexpected rule held and each missing one did not; of a wrong verdict, why any rule held."""
    questioned = set() if _is_expected(seen.action, expect) else set(seen.rules)
    for wanted, were in ((expect.rules, seen.rules), (expect.would, seen.would)):
        questioned |= set(wanted) ^ were if wanted is not None else set()
    for rule in policies.rules:
        for subject in seen.subjects if rule.id in questioned else ():
            message = subject.facts.message
            if (message.definition is not None) is rule.is_of_definitions:
                holds, text = explain(rule, subject)
                yield f"{rule.id} {'holds' if holds else 'does not hold'} for the {message.direction}: {text}"


def _listed(names: Iterable[str]) -> str:
    return ", ".join(sorted(names)) or "none"


def _carried(payload: Mapping[str, Any]) -> Any:
    """What a test compares: the arguments or parameters, of a tool's result what is structured, or else its text."""
    if "params" in payload:
        params = payload["params"]
        arguments = method_of(payload["method"]).arguments
        return params[arguments] if arguments else params
    result = payload["result"]
    if not isinstance(result, dict) or "content" not in result:
        return result
    return result.get("structuredContent", result["content"][0]["text"])


def _unequal(name: str, expected: Any, got: Any, path: tuple[str | int, ...]) -> Iterable[str]:
    """Where two values differ, named by place and kind only."""
    here = f"{name}: at {path_text(path)}"
    if isinstance(expected, dict) and isinstance(got, dict):
        for key in sorted(expected.keys() | got.keys()):
            if key not in got or key not in expected:
                yield f"{name}: at {path_text((*path, key))}: " + ("not expected" if key in got else "missing")
            else:
                yield from _unequal(name, expected[key], got[key], (*path, key))
    elif isinstance(expected, list) and isinstance(got, list) and len(expected) == len(got):
        for index, pair in enumerate(zip(expected, got, strict=True)):
            yield from _unequal(name, *pair, (*path, index))
    elif expected != got:
        wanted, came = _shape(expected), _shape(got)
        yield f"{here}: expected {wanted}, got {'another' if wanted == came else came}"


def _shape(value: Any) -> str:
    if isinstance(value, str):
        return f"a text of {len(value)} characters"
    names = {bool: "true or false", int: "a number", float: "a number", dict: "a mapping", type(None): "nothing"}
    return f"a list of {len(value)}" if isinstance(value, list) else names.get(type(value), "something else")
