"""The definitions in lists on their way: each is looked up in the inventory, judged by itself, and withheld where a rule says.

A list is one message and is judged as that; beside it, every tool and prompt in it is judged by the rules that are about
definitions. What one of them blocks is left out of the list, and a call of it is refused while that is so.
"""

import time
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from sidecar import limits
from sidecar.decode import mcp
from sidecar.detect import walk
from sidecar.events import ACTIONS, Definition, Finding, Message, Path, Scan, Span, Verdict, path_text
from sidecar.inventory import (
    CALLED,
    LISTED,
    UNREAD,
    DefinitionEvent,
    Inspection,
    Inventory,
    Key,
    describe_hidden_text,
    read_by_models,
)
from sidecar.judging.embedded import EmbeddedMessage
from sidecar.judging.message_judge import MessageJudge
from sidecar.policy.judgement import Judgement
from sidecar.policy.load import PolicySet
from sidecar.policy.spans import merged
from sidecar.record.ledger import Ledger
from sidecar.record.row_ids import timestamp
from sidecar.settings import Server


class ListedDefinitions:
    """Judges definitions, and remembers them in ``inventory``."""

    def __init__(self, judging: MessageJudge, ledger: Ledger, inventory: Inventory) -> None:
        self._message_judge = judging
        self._ledger = ledger
        self.inventory = inventory

    def judge_list(self, judged: Judgement, server: Server, now: float) -> Judgement:
        """An answer that may be a list: with the verdicts on what it defines, and which entries it may not hold."""
        began, message = time.perf_counter(), judged.message
        key, kind = LISTED.get(message.method, ("", ""))
        payload = message.payload if key and message.kind == "result" else None
        result = payload.get("result") if isinstance(payload, dict) else None
        entries = result.get(key) if isinstance(result, dict) else None
        if not isinstance(result, dict) or not isinstance(entries, list):
            return judged
        verdict, withheld = judged.verdict, set()
        news: list[DefinitionEvent] = []
        scans = _by_entry(judged.scan)
        rules = self._message_judge.policies.of_definitions
        for index, name, entry in _named(entries):
            root = ("result", key, index)
            part = EmbeddedMessage(replace(message, tool=name, args={}, payload={"result": entry}, size=0), root, ("result",))
            scan = part.own(scans[root]) if root in scans else scans[()]
            own = (message.server, kind, self._recorded_name(part, scan))
            definition = self._look_up(own, part, scan, server, now, news)
            if rules:
                said = self._message_judge.verdict(replace(part.message, definition=definition), scan, now)
                if said.action == "block":
                    withheld.add(index)
                verdict = self._joined(verdict, part, said, own, definition.digest, now)
        self.inventory.finish_list(message.server, kind, now, is_last=not result.get("nextCursor"))
        if news:
            self._ledger.definitions(map(row_of, news))
        asked = tuple(sorted({*judged.rules, *(rule.id for rule in rules)}))
        spent_s = judged.spent_s + time.perf_counter() - began
        return replace(judged, verdict=verdict, withheld=frozenset(withheld), rules=asked, spent_s=spent_s)

    def _look_up(
        self, key: Key, part: EmbeddedMessage, scan: Scan, server: Server, now: float, news: list[DefinitionEvent]
    ) -> Definition:
        """How one entry's definition stands; what is not known yet is added to ``news``."""
        if len(part.message.tool) > limits.NAME_CHARS_MAX:
            return UNREAD
        entry = part.message.payload["result"]
        definition, new = self.inventory.record_listed(key, entry, now, lambda: self._look(server, part, scan))
        news += [new] if new is not None else []
        return definition

    def judge_use(self, judged: Judgement, now: float) -> Judgement:
        """A request that may use what is withheld from lists: then it is refused, as the rule that withholds it says."""
        message = judged.message
        if message.method not in CALLED or message.kind != "request":
            return judged
        if judged.scan.spans and self._message_judge.policies.withholding.rules:
            message = replace(message, tool=mcp.facts(self._message_judge.masked(message.payload, judged.scan.spans)).tool)
        own = self._on_use(self._message_judge.policies, message, now)
        if own is None or not own.findings:
            return judged
        verdict = judged.verdict
        if ACTIONS.index(own.action) > ACTIONS.index(verdict.action):
            verdict = replace(verdict, action=own.action, rule=own.rule, message=own.message)
        return replace(judged, verdict=replace(verdict, findings=(*verdict.findings, *own.findings)))

    def is_withheld(self, policies: PolicySet, message: Message, now: float) -> bool:
        """Whether ``policies`` keep from lists what ``message``, the call a caller could make, would use."""
        own = self._on_use(policies, message, now) if message.method in CALLED else None
        return own is not None and own.action == "block"

    def _on_use(self, policies: PolicySet, message: Message, now: float) -> Verdict | None:
        withholding = policies.withholding
        if not withholding.rules:
            return None
        kind = CALLED[message.method]
        definition = self.inventory.get_standing((message.server, kind, message.tool))
        if definition is None:
            return None
        method = next(method for method, (_, called) in LISTED.items() if called == kind)
        asked = replace(message, direction="response", kind="result", method=method, args={}, payload={}, size=0)
        return self._message_judge.verdict(replace(asked, definition=definition), Scan(), now, withholding)

    def _joined(self, verdict: Verdict, part: EmbeddedMessage, own: Verdict, key: Key, digest: str, now: float) -> Verdict:
        """The list's verdict with that on one entry. Findings that were told before are not told with every list again."""
        if not own.findings:
            return verdict
        new = [each for each in own.findings if self._is_news(key, digest, each, now)]
        where = path_text(part.root)
        findings = tuple(replace(each, tool=key[2], path=where + each.path.removeprefix("$.result")) for each in new)
        action = "redact" if own.action == "block" else own.action
        has_effect = action == "redact" or bool(findings)
        if has_effect and ACTIONS.index(action) > ACTIONS.index(verdict.action):
            verdict = replace(verdict, action=action, rule=own.rule, message=own.message)
        redactions = verdict.redactions
        if own.redactions and own.action != "block":
            redactions = merged((*redactions, *part.placed(own.redactions)))
        return replace(verdict, findings=(*verdict.findings, *findings), redactions=redactions)

    def _is_news(self, key: Key, digest: str, finding: Finding, now: float) -> bool:
        about = f"{digest} {finding.mode} {finding.action} {finding.kind} {finding.fingerprint} {finding.preview}"
        return self.inventory.should_report(key, finding.rule, about, now)

    def _recorded_name(self, part: EmbeddedMessage, scan: Scan) -> str:
        """Its name as it may be kept, under which it is remembered too."""
        name = part.message.tool
        if scan.spans:
            name = self._message_judge.masked(part.message.payload, scan.spans)["result"].get("name", "")
        return name[: limits.NAME_CHARS_MAX]

    def _look(self, server: Server, part: EmbeddedMessage, scan: Scan) -> Inspection:
        """What was seen in an entry, and the entry as it may be kept: with every detected value masked, or not at all."""
        entry, masked = part.message.payload["result"], None
        texts = walk(read_by_models(entry))
        is_unread = bool(scan.skipped or texts.skipped) or sum(map(len, texts.texts)) > limits.DEFINITION_TEXT_CHARS_MAX
        if server.payloads != "metadata" and not scan.skipped:
            masked = self._message_judge.masked(part.message.payload, scan.spans)["result"]
        return Inspection(masked, "" if is_unread else describe_hidden_text(entry, scan.spans, masked), is_unread)


def _named(entries: list[Any]) -> Iterator[tuple[int, str, dict[str, Any]]]:
    for index, entry in enumerate(entries):
        if isinstance(entry, dict) and isinstance(name := entry.get("name"), str):
            yield index, name, entry


def _by_entry(scan: Scan) -> dict[Path, Scan]:
    """What was seen in each entry of a list, by the entry's place; under ``()`` what is true of one with nothing in it."""
    spans: dict[Path, list[Span]] = {}
    for span in scan.spans:
        spans.setdefault(span.leaf.path[:3], []).append(span)
    empty = scan._replace(spans=())
    return {(): empty, **{place: scan._replace(spans=tuple(each)) for place, each in spans.items()}}


def row_of(news: DefinitionEvent) -> dict[str, Any]:
    """A line of a definition's history as the table ``tools`` has it."""
    return {
        "ts": timestamp(news.at),
        "server": news.server,
        "kind": news.kind,
        "tool": news.name[: limits.NAME_CHARS_MAX],
        "event": news.event,
        "digest": news.digest,
        "previous_digest": news.previous_digest,
        "definition": news.definition,
        "diff": news.diff,
        "hidden": news.hidden,
        "approved": int(news.event in ("first", "approved")),
        "approved_by": news.by,
    }
