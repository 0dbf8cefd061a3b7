"""Parts of the file format that this version does not build: refused by name, so that none is ever silently ignored."""

from collections.abc import Collection, Mapping
from typing import Any, Final

from sidecar.document import Document
from sidecar.errors import Problem
from sidecar.events import Path

_FILE: Final = frozenset({"uses", "override"})
_RULE: Final = frozenset({"except", "rollout", "label", "approval", "quarantine", "locked"})
_WHEN: Final = frozenset({"volume", "baseline", "first_seen", "labels", "carries", "any", "not"})
_GIVEN: Final = frozenset({"baseline", "seen", "volume"})
_INSTEAD: Final = {"require_approval": "block", "quarantine": "block"}


def strip_unsupported(document: Document, conditions: Collection[str]) -> tuple[dict[str, Any], list[Problem]]:
    """The file's value without what is not supported yet, so that the rest can be checked; and where that stands.

    ``conditions`` are the fields of ``when`` that are supported.
    """
    strip = _Strip(document, _WHEN.difference(conditions))
    value = strip.fields(document.value, (), _FILE)
    value["rules"] = strip.each(value.get("rules"), ("rules",), strip.rule)
    value["tests"] = strip.each(value.get("tests"), ("tests",), strip.case)
    return {key: each for key, each in value.items() if each is not None or key in document.value}, strip.problems


class _Strip:
    """One pass over one document, collecting what it takes out."""

    def __init__(self, document: Document, conditions: frozenset[str]) -> None:
        self.problems: list[Problem] = []
        self._document = document
        self._conditions = conditions

    def fields(self, value: Mapping[str, Any], path: Path, unsupported: frozenset[str]) -> dict[str, Any]:
        """A copy of a mapping without these fields."""
        for name in sorted(unsupported & value.keys()):
            self._note((*path, name), f"'{name}' is not supported yet; remove it", at_key=True)
        return {key: each for key, each in value.items() if key not in unsupported}

    def each(self, value: Any, path: Path, strip: Any) -> Any:
        """A list with every mapping in it stripped; anything else as it is, for the model to refuse."""
        if not isinstance(value, list):
            return value
        return [strip(each, (*path, index)) if isinstance(each, dict) else each for index, each in enumerate(value)]

    def rule(self, value: dict[str, Any], path: Path) -> dict[str, Any]:
        """A rule. What is left of one without action or condition gets a stand-in: one problem for it is enough."""
        rule = self.fields(value, path, _RULE)
        is_cut = rule.keys() != value.keys()
        self._value(rule, "action", path)
        if isinstance(rule.get("when"), dict):
            when = self.fields(rule["when"], (*path, "when"), self._conditions)
            is_cut = is_cut or when.keys() != rule["when"].keys()
            if isinstance(when.get("detect"), dict):
                when["detect"] = self.fields(when["detect"], (*path, "when", "detect"), frozenset({"across"}))
            rule["when"] = when
            if not when and is_cut:
                del rule["when"]
        if is_cut:
            rule.setdefault("action", "log")
            rule.setdefault("match", {"server": "*"})
        return rule

    def case(self, value: dict[str, Any], path: Path) -> dict[str, Any]:
        """A test."""
        case = dict(value)
        if isinstance(case.get("given"), dict):
            case["given"] = self.fields(case["given"], (*path, "given"), _GIVEN)
        if isinstance(case.get("expect"), dict):
            case["expect"] = self.fields(case["expect"], (*path, "expect"), frozenset({"excepted"}))
            self._value(case["expect"], "verdict", (*path, "expect"))
        return case

    def _value(self, mapping: dict[str, Any], field: str, path: Path) -> None:
        given = mapping.get(field)
        if isinstance(given, str) and given in _INSTEAD:
            self._note((*path, field), f"'{given}' is not supported yet; use '{_INSTEAD[given]}'")
            mapping[field] = "block"

    def _note(self, path: Path, text: str, *, at_key: bool = False) -> None:
        name = ".".join(str(step) for step in path)
        self.problems.append(self._document.problem(path, "not-supported-yet", f"{name}: {text}", at_key=at_key))
