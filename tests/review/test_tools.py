"""``sidecar tools``: what servers offer, how it changed, and approving it, from what the proxy keeps."""

import json
from pathlib import Path
from typing import Any

import pytest

from sidecar.cli import main
from sidecar.inventory import Inspection, Inventory
from sidecar.record.inventory_file import approvals, kept_text, write_kept


@pytest.fixture
def config(tmp_path: Path) -> list[str]:
    """The settings of an installation whose proxy has seen a tool change and another appear."""
    inventory = Inventory()
    for name, said, now in (("send", "Send", 1e9), ("send", "Send \u202eto all", 1.1e9), ("wipe\u200b", "Wipe", 1.2e9)):
        entry = {"name": name, "description": said}
        look = Inspection(entry, "" if (name + said).isascii() else "$ has what nobody sees")
        inventory.record_listed(("mail", "tool", name), entry, now, lambda: look)  # noqa: B023 - it is asked at once
        inventory.finish_list("mail", "tool", now, is_last=True)
    inventory.record_listed(("mail", "prompt", "hello"), {"name": "hello"}, 1e9, lambda: Inspection(None))
    data = tmp_path / "data"
    data.mkdir()
    write_kept(data, kept_text(inventory))
    file = tmp_path / "sidecar.yaml"
    file.write_text(f"data: {data}\n")
    return ["-c", str(file)]


def test_the_list_says_what_waits(config: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    """One line for each tool; with --waiting only what somebody should look at, and an exit code that says so."""
    assert main(["tools", *config]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split() == ["SERVER", "KIND", "TOOL", "STATE", "DIGEST", "FIRST", "SEEN", "CHANGED"]
    assert [line.split()[:4] for line in lines[1:]] == [
        ["mail", "prompt", "hello", "accepted"],
        ["mail", "tool", "send", "changed,"],
        ["mail", "tool", "wipe\\u200b", "new,"],
    ]
    assert "hidden text" in lines[2] and "2001-09-09 01:46" in lines[2] and "2004-11-09" in lines[2]
    assert main(["tools", "--waiting", "--format", "json", *config]) == 1
    said = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [(each["tool"], each["state"]) for each in said] == [("send", "changed"), ("wipe\u200b", "new")]
    assert main(["tools", "list", "other", "--waiting", *config]) == 0


def test_one_tool_is_shown_with_how_it_changed(config: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    """The difference and the definition, with nothing that could drive a terminal or hide."""
    assert main(["tools", "show", "mail", "send", *config]) == 0
    out = capsys.readouterr().out
    assert '$.description: "Send" → "Send <U+202E>to all"' in out
    assert '"description": "Send \\u202eto all"' in out and "\u202e" not in out
    assert main(["tools", "show", "mail", "hello", "--kind", "prompt", *config]) == 0
    assert "is not stored" in capsys.readouterr().out
    assert main(["tools", "show", "mail", "send", "--format", "json", *config]) == 0
    shown: Any = json.loads(capsys.readouterr().out)
    assert shown["definition"]["name"] == "send" and len(shown["diff"]) == 1


def test_approving_takes_exactly_one_definition(config: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """By its digest where one is given; what was looked at is what is approved, and nothing twice."""
    assert main(["tools", "show", "mail", "send", "--format", "json", *config]) == 0
    digest = json.loads(capsys.readouterr().out)["digest"]
    assert main(["tools", "approve", "mail", "send", "--digest", "0000000", *config]) == 2
    assert "none of its definitions begins with '0000000'" in capsys.readouterr().err
    assert main(["tools", "approve", "mail", "send", "--digest", digest[:8], *config]) == 0
    assert capsys.readouterr().out == f"approved tool send of mail as {digest[:12]}\n"
    assert main(["tools", "approve", "mail", "send", *config]) == 0
    assert "already accepted" in capsys.readouterr().out
    ((_, approval),) = approvals(tmp_path / "data", 0)
    assert approval is not None and (approval.server, approval.name, approval.digest) == ("mail", "send", digest)
    assert main(["tools", "--waiting", *config]) == 1
    assert "send" not in capsys.readouterr().out


def test_mistakes_are_told(config: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A tool nobody listed, and a file that cannot be read, end with one clear line."""
    assert main(["tools", "approve", "mail", "nothing", *config]) == 2
    assert "no tool 'nothing' was listed by a server 'mail'" in capsys.readouterr().err
    (tmp_path / "data" / "tools.json").write_text("{")
    assert main(["tools", *config]) == 2
    assert "error[data]: " in (said := capsys.readouterr().err) and "it is not JSON" in said
