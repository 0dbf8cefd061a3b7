"""What ``sidecar check`` and ``sidecar test`` print: for people, or as JSON for programs."""

from collections.abc import Sequence
from dataclasses import asdict
from typing import Literal

import orjson

from sidecar.errors import Problem
from sidecar.policy.cases import Result

Format = Literal["text", "json"]


def check_report(problems: Sequence[Problem], format: Format) -> str:
    """Every problem in order of place, and how many there are."""
    ordered = sorted(problems)
    warnings = sum(each.is_warning for each in ordered)
    errors = len(ordered) - warnings
    if format == "json":
        return _json({"errors": errors, "warnings": warnings, "problems": [asdict(each) for each in ordered]})
    return "\n".join([*map(str, ordered), f"{_count(errors, 'error')}, {_count(warnings, 'warning')}"])


def test_report(results: Sequence[Result], format: Format) -> str:
    """Every failed test with what was expected, what came and why, never a value; and how many passed."""
    failed = [each for each in results if not each.has_passed]
    if format == "json":
        shown = [{**asdict(each), "passed": each.has_passed} for each in results]
        return _json({"passed": len(results) - len(failed), "failed": len(failed), "tests": shown})
    lines = []
    for each in failed:
        lines.append(f"{each.file}:{each.line}:{each.column}: failed: {each.policy}: {each.name}")
        lines.extend(f"    {line}" for line in (*each.differences, *each.reasons))
    return "\n".join([*lines, f"{_count(len(results), 'test')}, {len(results) - len(failed)} passed, {len(failed)} failed"])


def _count(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"


def _json(value: object) -> str:
    return orjson.dumps(value, option=orjson.OPT_INDENT_2).decode()
