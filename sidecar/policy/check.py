"""What is wrong with policies beyond their form: rules that never match, trust a claim, clash, or have no test."""

import fnmatch
from collections.abc import Collection, Iterator, Sequence
from typing import Final

import re2

from sidecar.document import suggest
from sidecar.errors import Problem
from sidecar.events import Path
from sidecar.inventory import LISTED
from sidecar.methods import METHODS, is_notification, method_of
from sidecar.policy import case_model, fakes, fields, model
from sidecar.policy.build import Source, conditions_of
from sidecar.policy.match import is_glob

_CARRIERS: Final = frozenset(name for name, method in METHODS.items() if method.subject and not is_notification(name))
"""Methods whose requests name a tool, prompt, resource or task."""
_SELF_DECLARED: Final = "client names are self-declared, so they cannot relax a rule; match on user or group"


def check_file(source: Source, servers: Collection[str]) -> Iterator[Problem]:
    """Every problem of one file alone; ``servers`` are the configured ones, when they are known."""
    yield from _access(source)
    for index, rule in enumerate(source.file.rules):
        path: Path = ("rules", index)
        if rule.is_of_definitions:
            yield from _definitions(source, rule, path)
        for condition, spec, place in conditions_of(source, index):
            yield from condition.check(spec, place)
        if rule.match:
            yield from _match(source, rule.match, (*path, "match"), servers, is_of_definitions=rule.is_of_definitions)
        if rule.unless:
            yield from _match(source, rule.unless, (*path, "unless"), servers, is_of_definitions=rule.is_of_definitions)
            if rule.unless.client is not None:
                yield source.document.problem((*path, "unless", "client"), "unverified-identity", _SELF_DECLARED)
        yield from _restore(source, rule, path, servers)
        if source.file.mode == "off" and rule.mode in ("monitor", "enforce"):
            message = f"the file is off, but '{rule.id}' has a mode of its own and stays in force; remove it"
            yield source.document.problem((*path, "mode"), "mode-off", message, is_warning=True)
    yield from _untested(source)
    for index, case in enumerate(source.file.tests):
        yield from _test(source, case, ("tests", index))


def check_together(sources: Sequence[Source], place: str) -> Iterator[Problem]:
    """The problems of all files together: names used twice, and more than one default. ``place`` names them all."""
    ids: dict[str, tuple[str, int]] = {}
    names: dict[str, tuple[str, int]] = {}
    default: tuple[str, int] | None = None
    for source in sources:
        document, access = source.document, source.file.access
        yield from _once(source, names, "duplicate-policy", source.file.policy, ("policy",))
        for kind, entries in (("allow", access.allow), ("deny", access.deny)) if access else ():
            for index, entry in enumerate(entries):
                yield from _once(source, ids, "duplicate-rule", entry.id, ("access", kind, index, "id"))
        for index, rule in enumerate(source.file.rules):
            yield from _once(source, ids, "duplicate-rule", rule.id, ("rules", index, "id"))
        if access is not None and access.default is not None and source.file.mode != "off":
            if default is not None:
                message = f"access.default is already set at {default[0]}:{default[1]}; exactly one file may set it"
                yield document.problem(("access", "default"), "duplicate-default", message)
            default = default or (document.file, document.position(("access", "default"))[0])
    if default is None:
        message = "no file sets access.default, so what no entry denies is allowed; write 'default: allow' or 'default: deny'"
        yield Problem(place, 0, 0, "no-default", message, is_warning=True)


def _once(source: Source, seen: dict[str, tuple[str, int]], code: str, name: str, path: Path) -> Iterator[Problem]:
    document = source.document
    if name in seen:
        file, line = seen[name]
        where = f"line {line}" if file == document.file else f"{file}:{line}"
        yield document.problem(path, code, f"'{name}' is already defined at {where}; give one of the two another name")
    else:
        seen[name] = (document.file, document.position(path)[0])


def _access(source: Source) -> Iterator[Problem]:
    access, document = source.file.access, source.document
    if access is None:
        return
    for kind, entries in (("allow", access.allow), ("deny", access.deny)):
        for index, entry in enumerate(entries):
            path: Path = ("access", kind, index)
            if entry.match:
                yield from _match(source, entry.match, (*path, "match"), ())
                if entry.match.direction == "response":
                    message = "access is decided on requests only, so this entry never matches; use a rule for responses"
                    yield document.problem((*path, "match", "direction"), "never-matches", message)
                if kind == "allow" and entry.match.client is not None:
                    yield document.problem((*path, "match", "client"), "unverified-identity", _SELF_DECLARED)
            if kind == "allow" and entry.expr and "client.name" in entry.expr:
                yield document.problem((*path, "expr"), "unverified-identity", _SELF_DECLARED)
            if kind == "allow" and access.default == "allow":
                message = f"'{entry.id}' changes nothing, because access.default is allow; remove it, or set 'default: deny'"
                yield document.problem(path, "no-effect", message, is_warning=True)


def _definitions(source: Source, rule: model.RuleSpec, path: Path) -> Iterator[Problem]:
    """What keeps a rule about definitions from ever seeing one: they come in the responses to lists."""
    document, match = source.document, rule.match or model.MatchSpec.model_construct()
    if match.direction == "request":
        message = "definitions come in responses, so this never matches; write 'direction: response', or remove it"
        yield document.problem((*path, "match", "direction"), "never-matches", message)
    if match.method is not None and not any(fnmatch.fnmatchcase(known, each) for known in LISTED for each in match.method):
        message = f"no definition comes in {match.method}; write 'method: tools/list' (or prompts/list), or remove it"
        yield document.problem((*path, "match", "method"), "never-matches", message)


def _match(
    source: Source, match: model.MatchSpec, path: Path, servers: Collection[str], *, is_of_definitions: bool = False
) -> Iterator[Problem]:
    document = source.document
    for name in ("user", "group"):
        if getattr(match, name) is not None:
            over_stdio = ": there it is the user of the operating system" if name == "user" else ", where there are no groups"
            message = f"an identity is verified over stdio only{over_stdio}; over HTTP '{name}' never matches yet"
            yield document.problem((*path, name), "no-identity", message, is_warning=True)
    for index, method in enumerate(match.method or ()):
        if not any(fnmatch.fnmatchcase(known, method) for known in METHODS):
            message = f"no revision of MCP has the method '{method}'{suggest(method, sorted(METHODS))}"
            yield document.problem((*path, "method", index), "unknown-method", message, is_warning=True)
    for index, server in enumerate(match.server or ()):
        if servers and not any(fnmatch.fnmatchcase(known, server) for known in servers):
            message = f"no configured server is called '{server}'{suggest(server, sorted(servers))}"
            yield document.problem((*path, "server", index), "unknown-server", message, is_warning=True)
    is_carried = is_of_definitions or match.method is None or any(map(_may_carry, match.method))
    if match.tool is not None and not is_carried:
        message = f"'tool' is set but no method in {match.method} carries a tool; remove one of the two"
        yield document.problem((*path, "tool"), "never-matches", message)


def _restore(source: Source, rule: model.RuleSpec, path: Path, servers: Collection[str]) -> Iterator[Problem]:
    """Where the tokens of a rule are restored: only in requests, never on a client's claim, and somewhere."""
    document, restore = source.document, rule.restore
    if restore is not None:
        yield from _match(source, restore, (*path, "restore"), servers)
        if restore.client is not None:
            yield document.problem((*path, "restore", "client"), "unverified-identity", _SELF_DECLARED)
        if restore.direction == "response":
            message = "tokens are restored in requests to a server, so this never matches; remove 'direction'"
            yield document.problem((*path, "restore", "direction"), "never-matches", message)
    elif rule.action == "tokenize" and rule.unless is None and not _spares_requests(rule.match):
        message = f"the tokens of '{rule.id}' are restored nowhere; add 'restore: {{server: ...}}', or use redact"
        yield document.problem((*path, "action"), "never-restored", message, is_warning=True)


def _spares_requests(match: model.MatchSpec | None) -> bool:
    """Whether a rule without ``unless`` names servers for its tokens: the one that answered with the value, or all others."""
    if match is None or match.direction is None:
        return False
    return match.direction == "response" or match.model_fields_set != {"direction"}


def _may_carry(method: str) -> bool:
    """Notifications of resources carry a URI, but ``notifications/*`` beside a tool means something else."""
    names_subject = is_notification(method) and bool(method_of(method).subject)
    if not is_glob(method) or names_subject:
        return method in _CARRIERS or names_subject
    return any(fnmatch.fnmatchcase(carrier, method) for carrier in _CARRIERS)


def _untested(source: Source) -> Iterator[Problem]:
    file, document = source.file, source.document
    expected = {rule for case in file.tests for rule in case.expect.rules or ()}
    access = file.access
    is_enforced = file.mode == "enforce" and access is not None and bool(access.deny or access.default == "deny")
    for index, rule in enumerate(file.rules):
        if (rule.mode or file.mode) != "enforce":
            continue
        is_enforced = True
        if rule.id not in expected:
            message = f"'{rule.id}' is enforced but no test expects it; add a test whose expect.rules names it"
            yield document.problem(("rules", index), "untested", message)
    if is_enforced and not any(case.expect.verdict == "allow" for case in file.tests):
        message = f"'{file.policy}' is enforced but no test shows an ordinary call that passes; add one with verdict: allow"
        yield document.problem(("policy",), "untested", message)


def _test(source: Source, case: case_model.Case, path: Path) -> Iterator[Problem]:
    document, file = source.document, source.file
    entries = [*file.access.allow, *file.access.deny] if file.access else []
    known = [rule.id for rule in file.rules] + [entry.id for entry in entries] + [fields.DEFAULT_ENTRY]
    for name, ids in (("rules", case.expect.rules), ("would", case.expect.would)):
        for index, rule in enumerate(ids or ()):
            if rule not in known:
                message = f"'{rule}' is not a rule of this file{suggest(rule, known)}"
                yield document.problem((*path, "expect", name, index), "unknown-rule", message)
    for fake in sorted(fakes.unknown_in(case.model_dump())):
        yield document.problem(path, "unknown-fake", f"${{fake:{fake[:40]}}} is no known fake{suggest(fake, fakes.NAMES)}")
    if case.expect.message is not None:
        try:
            re2.compile(case.expect.message)
        except re2.error:
            message = "this is not a regular expression (RE2); fix it, or write \\ before literal special characters"
            yield document.problem((*path, "expect", "message"), "bad-regex", message)
