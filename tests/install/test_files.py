"""Files of others are replaced whole, as they were in every other respect, or not at all."""

import os
from pathlib import Path

import pytest

from sidecar.install import command
from sidecar.install.files import Backup, BackupFolder, LeftAlone, read, replace
from sidecar.install.plan import FilePlan
from sidecar.limits import CLIENT_FILE_BYTES_MAX
from tests.install.conftest import Home

TEXT = '{"mcpServers": {"a": {"command": "x"}}}'


def test_the_mode_stays(tmp_path: Path) -> None:
    """A private file stays private, an open one open."""
    for mode in (0o600, 0o644, 0o640):
        file = tmp_path / f"{mode}"
        file.write_text("a")
        file.chmod(mode)
        replace(file, "a", "b")
        assert file.read_text() == "b" and file.stat().st_mode & 0o777 == mode


def test_a_link_stays_a_link(home: Home) -> None:
    """A configuration that is a link into somebody's dotfiles is changed there, and stays a link."""
    real = home.put("dotfiles/cursor.json", TEXT)
    (home.path / ".cursor").mkdir()
    link = home.path / ".cursor/mcp.json"
    link.symlink_to(real)
    home.install()
    assert link.is_symlink() and "wrap" in real.read_text()
    home.install("--undo")
    assert link.is_symlink() and real.read_text() == TEXT


def test_an_edit_meanwhile_is_refused(tmp_path: Path) -> None:
    """A file that somebody wrote after we read it is left as they wrote it."""
    file = tmp_path / "f"
    file.write_text("theirs")
    with pytest.raises(LeftAlone, match=r"error\[changed\].*run this again"):
        replace(file, "before", "after")
    assert file.read_text() == "theirs"
    with pytest.raises(LeftAlone, match="changed"):
        replace(tmp_path / "gone", "before", "after")
    with pytest.raises(LeftAlone, match="changed"):
        replace(file, None, "after")
    assert sorted(each.name for each in tmp_path.iterdir()) == ["f"]


def test_a_client_that_writes_meanwhile(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    """A client that saves its file between the question and the answer loses nothing, and the person is told."""
    file = home.put(".cursor/mcp.json", TEXT)
    shown = command._FileChange._show

    def edited(self: object) -> None:
        shown(self)  # type: ignore[arg-type]
        file.write_text("{}")

    monkeypatch.setattr(command._FileChange, "_show", edited)
    done = home.install()
    assert done.code == 1 and "error[changed]" in done.err
    assert file.read_text() == "{}"


def test_settings_that_cannot_be_written_stop_the_clients(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    """No client is pointed at a listener that could not be added."""
    text = '{"mcpServers": {"a": {"url": "https://a.example.com/mcp"}}}'
    file = home.put(".cursor/mcp.json", text)
    shown = command._FileChange._show

    def edited(self: object) -> None:
        shown(self)  # type: ignore[arg-type]
        home.settings.write_text(home.settings.read_text() + "\n")

    monkeypatch.setattr(command._FileChange, "_show", edited)
    assert home.install().code == 1
    assert file.read_text() == text


def test_what_is_no_text_is_left_alone(tmp_path: Path) -> None:
    """Folders, binary files and huge ones are not configurations."""
    folder, binary, huge = tmp_path / "d", tmp_path / "b", tmp_path / "h"
    folder.mkdir()
    binary.write_bytes(b"\xff\xfe{")
    with huge.open("wb") as stream:
        stream.truncate(CLIENT_FILE_BYTES_MAX + 1)
    for file, code in ((folder, "not-a-file"), (binary, "unreadable"), (huge, "too-large"), (tmp_path / "no", "unreadable")):
        with pytest.raises(LeftAlone, match=rf"error\[{code}\]"):
            read(file)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read and write everything")
def test_what_may_not_be_written_is_left_alone(tmp_path: Path) -> None:
    """A read-only file, or one in a read-only folder, is told and not replaced."""
    file = tmp_path / "f"
    file.write_text("a")
    file.chmod(0o444)
    with pytest.raises(LeftAlone, match="read-only"):
        read(file)
    file.chmod(0o644)
    tmp_path.chmod(0o555)
    try:
        with pytest.raises(LeftAlone, match="unwritable"):
            replace(file, "a", "b")
    finally:
        tmp_path.chmod(0o755)


def test_without_a_backup_nothing_is_changed(home: Home) -> None:
    """Where the backup cannot be kept the file is not touched."""
    file = home.put(".cursor/mcp.json", TEXT)
    home.put(".local/state/sidecar", "in the way")
    done = home.install()
    assert done.code == 1 and "error[no-backup]" in done.err
    assert file.read_text() == TEXT


def test_foreign_files_among_the_backups_are_passed_over(tmp_path: Path) -> None:
    """A damaged or foreign file in the folder of backups does not stop an undo."""
    keep = BackupFolder(tmp_path)
    kept = Backup(str(tmp_path / "x"), "cursor", "0", "text")
    keep.put(kept)
    (tmp_path / "a.json").write_text("{")
    (tmp_path / "b.json").write_text('{"other": 1}')
    (tmp_path / "c.json").write_text("[]")
    assert list(keep.all()) == [kept] and keep.get(tmp_path / "x") == kept
    keep.drop(tmp_path / "x")
    assert keep.get(tmp_path / "x") is None


def test_a_part_without_changes_is_its_own_text() -> None:
    """A plan that changes nothing gives the text it read."""
    from sidecar.install.clients import CLIENTS, ConfigFile
    from sidecar.install.jsonc import parse

    found = ConfigFile(CLIENTS[0], CLIENTS[0].places[0], Path("f"))
    assert FilePlan(found, parse(TEXT), ()).text == TEXT
