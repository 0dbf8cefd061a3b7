"""Whatever a configuration looks like: in and out again is nothing, twice is once, and no secret is ever shown."""

import contextlib
import io
import json
import os
import re
import tempfile
from collections.abc import Iterator
from pathlib import Path
from unittest import mock

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sidecar import cli
from sidecar.install import jsonc, toml
from sidecar.install.entries import unwrapped
from sidecar.install.jsonc import dump
from tests.install.configs import Config, configs
from tests.install.conftest import MOVES, SETTINGS

MANY = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])


@contextlib.contextmanager
def home_with(text: str) -> Iterator[tuple[Path, Path]]:
    """A fresh home folder for one example, with Cursor's file and a settings file in it."""
    with tempfile.TemporaryDirectory() as folder:
        file, config = Path(folder) / ".cursor/mcp.json", Path(folder) / "sidecar.yaml"
        file.parent.mkdir()
        file.write_text(text, "utf-8", newline="")
        config.write_text(SETTINGS)
        environ = {name: value for name, value in os.environ.items() if name not in MOVES} | {"HOME": folder}
        with mock.patch.dict(os.environ, environ, clear=True):
            yield file, config


def install(config: Path, *words: str) -> tuple[int, str]:
    """The exit code, and everything that was said."""
    said = io.StringIO()
    with contextlib.redirect_stdout(said), contextlib.redirect_stderr(said):
        code = cli.main(["install", "-c", str(config), "--client", "cursor", *words])
    return code, said.getvalue()


@MANY
@given(config=configs())
def test_in_and_out_again_is_nothing(config: Config) -> None:
    """Install, install again, undo: the second changes nothing, the third restores every byte, and no secret was shown."""
    with home_with(config.text) as (file, yaml):
        code, said = install(yaml)
        once = file.read_bytes()
        assert code in (0, 1)
        assert "Nothing to change.\n" in install(yaml)[1]
        assert file.read_bytes() == once
        said += install(yaml, "--undo")[1]
        assert file.read_bytes() == config.text.encode()
        assert yaml.read_text() == SETTINGS
        assert not [secret for secret in config.secrets if secret in said]


@MANY
@given(config=configs(), more=st.sampled_from(["\n", " ", "// later\n"]))
def test_an_edit_in_between_survives(config: Config, more: str) -> None:
    """A file that was edited after the install is undone entry by entry: what remains is the original and the edit."""
    with home_with(config.text) as (file, yaml):
        install(yaml)
        is_carried = file.read_bytes() != config.text.encode()
        with file.open("a", newline="") as stream:
            stream.write(more)
        _, said = install(yaml, "--undo")
        assert file.read_bytes() == (config.text + more).encode()
        assert ("edited since" in said) == is_carried


@MANY
@given(config=configs(), indent=st.sampled_from([None, 2, "\t"]), comma=st.booleans())
def test_a_client_that_writes_its_file_anew(config: Config, indent: int | str | None, comma: bool) -> None:
    """Clients write their files in their own layout: what we put in is still known, and undo gives back every value."""
    with home_with(config.text) as (file, yaml):
        install(yaml)
        value = jsonc.parse(file.read_bytes().decode()).root.plain()
        text = json.dumps(value, indent=indent)
        text = re.sub(r'(?<=")(\s*\])', r",\1", text) if comma else text
        file.write_text(text)
        assert "Nothing to change.\n" in install(yaml)[1]
        assert file.read_text() == text
        install(yaml, "--undo")
        assert jsonc.parse(file.read_text()).root.plain() == jsonc.parse(config.text).root.plain()


@MANY
@given(config=configs())
def test_all_that_is_left_is_what_was_found(config: Config) -> None:
    """A wrapped command holds the whole original command, and everything else in the file has the same value as before."""
    with home_with(config.text) as (file, yaml):
        before = jsonc.parse(config.text).root.plain()
        install(yaml)
        after = jsonc.parse(file.read_bytes().decode()).root.plain()
        for key, was in before["mcpServers"].items():
            now = after["mcpServers"][key]
            changed = {"command", "args", "url"}
            assert {name: each for name, each in was.items() if name not in changed} == {
                name: each for name, each in now.items() if name not in changed
            }
            if "command" in was:
                argv = [now["command"], *now["args"]]
                own, name = unwrapped(argv)
                original, own_name = (
                    [was["command"], *was.get("args", [])],
                    unwrapped([was["command"], *was.get("args", [])])[1],
                )
                assert name and (argv[own:] == original or own_name)
        assert {key: each for key, each in before.items() if key != "mcpServers"} == {
            key: each for key, each in after.items() if key != "mcpServers"
        }


@MANY
@given(text=st.text("{}[],:\"'\\/*# \n=.ab1-", max_size=60))
def test_no_text_breaks_it(text: str) -> None:
    """Any text at all is either a configuration or is told as broken, with its place; it is never touched."""
    with home_with(text) as (file, yaml):
        code, said = install(yaml)
        assert file.read_bytes() == text.encode()
        assert "Traceback" not in said and (code == 0 or f"{file}:" in said)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=12,
)


@given(value=JSON)
def test_json_is_read_as_it_is_meant(value: object) -> None:
    """Our reader gives the values that were written, each at its place."""
    text = json.dumps(value, indent=2, ensure_ascii=False)
    tree = jsonc.parse(text)
    assert tree.root.plain() == value
    assert json.loads(tree.lexeme(tree.root)) == value


@given(
    lines=st.lists(
        st.sampled_from(
            [
                "a = 1", "b = 'x' # c", 'c = """q\n""x"""', "d = '''\n'''", "[t]", "[t.u]", "[[v]]", "[v.w]",
                "e.f = [1, # c\n 2,\n]",
                'g = {h = 1, i.j = "k"}', '"l m" = 1979-05-27 07:32:00', "n = []", "o = {}", "'' = 1", "[ t . 'x y' ]",
                "# only",
                "p = +1_000", "q = nan", 'r = "\\u00e9\\""', "",
            ]
        ),
        max_size=9,
    ),
    end=st.sampled_from(["\n", "\r\n"]),
)  # fmt: skip
def test_toml_is_read_as_tomllib_reads_it(lines: list[str], end: str) -> None:
    """Whatever TOML lines meet, our reader has the values of Python's own, or says that it has not."""
    import tomllib

    text = end.join(lines).replace("\r\n", "\n").replace("\n", end)
    try:
        value = tomllib.loads(text)
    except tomllib.TOMLDecodeError:
        with pytest.raises(Exception, match="not TOML"):
            toml.parse(text)
        return
    tree = toml.parse(text)
    assert repr(tree.root.plain()) == repr(value)
    assert all(text[start] == "#" for start, _ in tree.comments)


@given(text=st.text())
def test_a_text_is_written_as_both_formats_read_it(text: str) -> None:
    """What we write into a file is one string in JSON and in TOML."""
    import json
    import tomllib

    assert json.loads(dump(text)) == text
    if not any("\ud800" <= each <= "\udfff" for each in text):
        assert tomllib.loads(f"v = {dump(text)}")["v"] == text
