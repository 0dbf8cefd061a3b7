"""A home folder with nothing in it but what a test puts there, and the command as users run it."""

import os
from dataclasses import dataclass
from pathlib import Path

import pytest

from sidecar import cli

SETTINGS = """# mine
servers:
  - {name: crm, listen: 127.0.0.1:19001, upstream: http://127.0.0.1:18001}  # the crm

mode: monitor  # careful
"""
MOVES = ("XDG_CONFIG_HOME", "XDG_STATE_HOME", "CODEX_HOME", "CLAUDE_CONFIG_DIR", "GEMINI_CLI_HOME", "CLINE_MCP_SETTINGS_PATH")


@dataclass(frozen=True, slots=True)
class Result:
    code: int
    out: str
    err: str


@dataclass(frozen=True, slots=True)
class Home:
    """``path`` is the home folder, ``project`` the working folder with a settings file."""

    path: Path
    project: Path
    capture: pytest.CaptureFixture[str]

    @property
    def settings(self) -> Path:
        return self.project / "sidecar.yaml"

    def put(self, name: str, text: str) -> Path:
        """Write a file below the home folder, every character as given."""
        file = self.path / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, "utf-8", newline="")
        return file

    def install(self, *words: str) -> Result:
        """``sidecar install`` with these words."""
        return self.run("install", *words)

    def run(self, *words: str) -> Result:
        """The command line with these words."""
        self.capture.readouterr()
        code = cli.main(words)
        said = self.capture.readouterr()
        return Result(code, said.out, said.err)

    def snapshot(self) -> dict[str, tuple[int, bytes]]:
        """Every file below the home folder: its mode and its bytes."""
        files = [file for file in self.path.rglob("*") if file.is_file()]
        return {str(file.relative_to(self.path)): (file.stat().st_mode, file.read_bytes()) for file in files}


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Home:
    for name in (*MOVES, *(name for name in os.environ if name.startswith("SIDECAR_"))):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    project = tmp_path / "work"
    project.mkdir()
    (project / "sidecar.yaml").write_text(SETTINGS, "utf-8")
    monkeypatch.chdir(project)
    monkeypatch.setattr("sys.platform", "linux")
    return Home(tmp_path, project, capsys)
