"""What check and test print."""

import json

from sidecar.errors import Problem
from sidecar.policy.cases import Result
from sidecar.policy.report import check_report
from sidecar.policy.report import test_report as report_of

PROBLEMS = (
    Problem("b.yaml", 9, 51, "expr", "column 5: unknown name 'call.tols'; did you mean 'call.tool'?"),
    Problem("a.yaml", 3, 1, "no-default", "no file sets it", is_warning=True),
    Problem("a.yaml", 1, 7, "unknown-value", "mode: 'enforced' is not one of them"),
)
RESULTS = (
    Result("a.yaml", 9, 5, "p", "passes", ()),
    Result(
        *("a.yaml", 12, 5, "p", "fails"),
        differences=("verdict: expected block, got allow", "rules: expected a, got none"),
        reasons=("a does not hold for the request: expr: the expression is false",),
    ),
)


def test_problems_come_in_order_with_a_count() -> None:
    """One line for each problem, by place, then how many."""
    assert check_report(PROBLEMS, "text").splitlines() == [
        "a.yaml:1:7: error[unknown-value]: mode: 'enforced' is not one of them",
        "a.yaml:3:1: warning[no-default]: no file sets it",
        "b.yaml:9:51: error[expr]: column 5: unknown name 'call.tols'; did you mean 'call.tool'?",
        "2 errors, 1 warning",
    ]
    assert check_report((), "text") == "0 errors, 0 warnings"


def test_problems_as_json() -> None:
    """A program reads the same, with every place in fields of its own."""
    read = json.loads(check_report(PROBLEMS, "json"))
    assert (read["errors"], read["warnings"]) == (2, 1)
    assert read["problems"][0] == {
        "file": "a.yaml", "line": 1, "column": 7, "code": "unknown-value",
        "text": "mode: 'enforced' is not one of them", "is_warning": False,
    }  # fmt: skip


def test_failed_tests_are_told_in_full() -> None:
    """Failures with their place, differences and reasons, then the count."""
    assert report_of(RESULTS, "text").splitlines() == [
        "a.yaml:12:5: failed: p: fails",
        "    verdict: expected block, got allow",
        "    rules: expected a, got none",
        "    a does not hold for the request: expr: the expression is false",
        "2 tests, 1 passed, 1 failed",
    ]
    assert report_of(RESULTS[:1], "text") == "1 test, 1 passed, 0 failed"


def test_results_as_json() -> None:
    """A program reads every test, passed or not."""
    read = json.loads(report_of(RESULTS, "json"))
    assert (read["passed"], read["failed"]) == (1, 1)
    assert [(each["name"], each["passed"]) for each in read["tests"]] == [("passes", True), ("fails", False)]
