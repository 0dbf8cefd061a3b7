"""The remembered definitions on disk: whole or not at all, for the user alone, and never a reason not to start."""

import json
import os
from pathlib import Path

import pytest

from sidecar.inventory import Inspection, Inventory
from sidecar.record.inventory_file import (
    Approval,
    append_approval,
    approvals,
    approvals_stamp,
    kept_text,
    open_inventory,
    read_inventory,
    write_kept,
)


def inventory_of(*names: str) -> Inventory:
    """One that knows these tools of a server."""
    inventory = Inventory()
    for name in names:
        inventory.record_listed(("s", "tool", name), {"name": name}, 1.0, lambda: Inspection({"name": name}))  # noqa: B023 - it is asked at once
    return inventory


def test_what_is_written_is_read_again(tmp_path: Path) -> None:
    """Every field, names with half characters included; a second file replaces the first; nobody else may read it."""
    assert read_inventory(tmp_path).dump() == Inventory().dump()
    for names in (("a",), ("a", "\ud800", "b")):
        inventory = inventory_of(*names)
        write_kept(tmp_path, kept_text(inventory))
        assert read_inventory(tmp_path).dump() == inventory.dump()
    assert [file.name for file in tmp_path.iterdir()] == ["tools.json"]
    assert (tmp_path / "tools.json").stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize(
    "content", [b"", b"{", b"[]", b"\xff\xfe", b'{"version": 2}', b"[" * 100_000, b'{"version": 1, "known": 5}']
)
def test_a_broken_file_is_set_aside_and_said(tmp_path: Path, content: bytes) -> None:
    """The proxy starts with nothing remembered and says so; the file is there to be looked at."""
    (tmp_path / "tools.json").write_bytes(content)
    with pytest.raises(ValueError, match="cannot be used"):
        read_inventory(tmp_path)
    inventory, fault = open_inventory(tmp_path)
    assert "tools.json cannot be used" in fault and "recorded anew" in fault
    assert list(inventory) == []
    assert (tmp_path / "tools.broken").read_bytes() == content
    assert open_inventory(tmp_path)[1] == ""


def test_a_folder_that_cannot_be_written_keeps_the_last_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A full disk costs what is new, not what was known."""
    write_kept(tmp_path, kept_text(inventory_of("a")))

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space"):
        write_kept(tmp_path, kept_text(inventory_of("b")))
    assert [key[2] for key, _ in read_inventory(tmp_path)] == ["a"]
    assert [file.name for file in tmp_path.iterdir()] == ["tools.json"]


def test_approvals_are_read_once_and_lines_that_are_none_are_named(tmp_path: Path) -> None:
    """Lines before those read are not read again; half a line is waited for."""
    assert list(approvals(tmp_path, 0)) == []
    said = Approval("s", "tool", "a", "d", "ada", 1.0)
    append_approval(tmp_path, said)
    file = tmp_path / "tools-approved.jsonl"
    assert file.stat().st_mode & 0o777 == 0o600
    with file.open("ab") as stream:
        stream.write(b'nonsense\n{"server": 1}\n' + json.dumps({"half": "a line"}).encode())
    assert list(approvals(tmp_path, 0)) == [(1, said), (2, None), (3, None)]
    assert list(approvals(tmp_path, 2)) == [(3, None)]
    assert list(approvals(tmp_path, 3)) == []
    stamp = approvals_stamp(tmp_path)
    file.unlink()
    append_approval(tmp_path, said)
    assert list(approvals(tmp_path, 3)) == [(1, said)], "a file that began anew is read anew"
    assert approvals_stamp(tmp_path) != stamp
