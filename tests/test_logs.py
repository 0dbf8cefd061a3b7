"""The log: one event a line, with its values, in the form the settings ask for."""

import ast
import io
import json
import logging
from collections.abc import Iterator
from pathlib import Path

import pytest

from sidecar import logs

SIDECAR = Path(__file__).parents[1] / "sidecar"
LEVELS = {"debug", "info", "warning", "error", "critical", "exception"}


@pytest.fixture
def root() -> Iterator[logging.Logger]:
    """The root logger, put back afterwards as it was."""
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    yield root
    root.handlers[:] = handlers
    root.setLevel(level)


def test_a_line_says_event_and_values(root: logging.Logger) -> None:
    """People read what happened first; programs find values under their names, and no value can fake another or a line."""
    out = io.StringIO()
    logs.configure("text", out)
    logs.get_logger("sidecar.x").warning("calls cut off", calls=3, who="Ada L.", note='a="b"', control="\x1b[2J", empty="")
    time, rest = out.getvalue().split(" ", 1)
    assert time.startswith("20") and time.endswith("Z")
    said = r'warning sidecar.x  calls cut off  calls=3 who="Ada L." note="a=\"b\"" control="\u001b[2J" empty=""'
    assert rest == said + "\n"


def test_lists_and_tracebacks_follow_their_line(root: logging.Logger) -> None:
    """The problems of a policy stay readable, each on a line of its own, and none can pass for a line of the log."""
    out = io.StringIO()
    logs.configure("text", out)
    logs.get_logger("sidecar.x").error("policies refused", version="1", problems=["a.yaml:1:1: wrong", "b.yaml:2:2: wrong"])
    first, *rest = out.getvalue().splitlines()
    assert first.endswith("policies refused  version=1")
    assert rest == ["    a.yaml:1:1: wrong", "    b.yaml:2:2: wrong"]
    logs.get_logger("sidecar.x").error("odd", text="one\n2026-01-01T00:00:00Z error x  faked")
    assert out.getvalue().splitlines()[-1] == "    2026-01-01T00:00:00Z error x  faked"
    try:
        raise ValueError("broken")
    except ValueError:
        logging.getLogger("library").exception("it failed")
    assert out.getvalue().splitlines()[-1] == "    ValueError: broken"


def test_json_is_an_object_a_line(root: logging.Logger) -> None:
    """A collector of logs parses every line, ours and those that libraries write through the standard library."""
    out = io.StringIO()
    logs.configure("json", out)
    logs.get_logger("sidecar.x").info("ready", policy_version="3f", servers=["crm"], path=Path("a"))
    logging.getLogger("library").warning("%d of %s", 3, "them", extra={"peer": "1.2.3.4"})
    try:
        raise ValueError("broken")
    except ValueError:
        logs.get_logger("sidecar.x").exception("it failed")
    lines = [json.loads(line) for line in out.getvalue().splitlines()]
    assert [list(line)[:4] for line in lines] == [["time", "level", "logger", "event"]] * 3
    assert {**lines[0], "time": ""} == {
        "time": "", "level": "info", "logger": "sidecar.x", "event": "ready", "policy_version": "3f", "servers": ["crm"],
        "path": "a",
    }  # fmt: skip
    assert (lines[1]["event"], lines[1]["peer"]) == ("3 of them", "1.2.3.4")
    assert "ValueError: broken" in lines[2]["exception"]


def test_libraries_that_quote_addresses_are_quiet(root: logging.Logger) -> None:
    """A webhook's address, which may be a secret, is not in the log because its connection was tried again."""
    out = io.StringIO()
    logs.configure("text", out)
    for name in ("urllib3", "mitmproxy"):
        logging.getLogger(name).warning("Retrying after connection broken: /the/address")
        logging.getLogger(name).error("failed")
    assert "/the/address" not in out.getvalue() and out.getvalue().count("failed") == 2


def test_no_value_has_a_name_that_logging_keeps_for_itself() -> None:
    """A line of the log never fails with the program it is about: the standard library raises for such a name."""
    taken = set(vars(logging.LogRecord("", 0, "", 0, "", None, None))) | {"message", "asctime"} - {"exc_info", "stack_info"}
    wrong = [
        f"{file.relative_to(SIDECAR)}:{call.lineno}: {keyword.arg}"
        for file in SIDECAR.rglob("*.py")
        for call in log_calls(ast.parse(file.read_text()))
        for keyword in call.keywords
        if keyword.arg in taken | {"time", "level", "logger", "event"} and keyword.arg not in ("exc_info", "stack_info")
    ]
    assert not wrong


def log_calls(tree: ast.AST) -> Iterator[ast.Call]:
    for node in ast.walk(tree):
        match node:
            case ast.Call(func=ast.Attribute(value=ast.Name(id="log"), attr=level)) if level in LEVELS:
                yield node
