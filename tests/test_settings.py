"""``sidecar.yaml``: good defaults, and every mistake named with its place and how to fix it."""

import stat
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecar import settings
from sidecar.addresses import parse_store
from sidecar.errors import SettingsError

MINIMAL = "servers:\n  - {name: crm, listen: 127.0.0.1:9001, upstream: http://127.0.0.1:8001}\n"


def load(tmp_path: Path, text: str, **environ: str) -> settings.Settings:
    file = tmp_path / "sidecar.yaml"
    file.write_text(text)
    return settings.load(file, environ)


def test_one_server_is_all_it_takes(tmp_path: Path) -> None:
    """Everything else has a default, and paths count from where the file stands."""
    loaded = load(tmp_path, MINIMAL)
    assert (loaded.store, loaded.mode, loaded.on_full) == ("chdb", "enforce", "block")
    assert loaded.policies_paths == (settings.shipped("policies"),), "without policies of one's own, the starter ones judge"
    (tmp_path / "policies").mkdir()
    assert loaded.policies_paths == (tmp_path / "policies",)
    assert loaded.servers[0].payloads == "redacted"


def test_the_environment_overrides_the_file(tmp_path: Path) -> None:
    """A container sets a variable instead of editing a file."""
    loaded = load(tmp_path, MINIMAL, SIDECAR_MODE="monitor", SIDECAR_POLICIES="/etc/policies")
    assert (loaded.mode, loaded.policies_paths) == ("monitor", (Path("/etc/policies"),))


def test_policies_are_one_folder_or_several(tmp_path: Path) -> None:
    """A list of folders may name the starter policies, wherever the program is installed, and no folder counts twice."""
    loaded = load(tmp_path, MINIMAL + "policies: [starter, ./mine, mine]\n")
    assert loaded.policies_paths == (settings.shipped("policies"), tmp_path / "mine")
    assert load(tmp_path, MINIMAL + "policies: starter\n").policies_paths == (settings.shipped("policies"),)
    assert load(tmp_path, MINIMAL + "policies: ./starter\n").policies_paths == (tmp_path / "starter",)


def test_a_list_may_be_all_comments(tmp_path: Path) -> None:
    """``servers:`` with nothing below it, as ``sidecar init`` writes it, is an empty list."""
    loaded = load(tmp_path, "servers:\n#  - {name: crm}\nalerts:\nsecrets:\n")
    assert (loaded.servers, loaded.alerts, loaded.secrets) == ((), (), ())


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (
            MINIMAL + "polices: x\n",
            "3:1: error[unknown-field]: polices: 'polices' is not a field here; did you mean 'policies'? (known here: alerts,",
        ),
        (
            MINIMAL + "zzz: x\n",
            "zzz: 'zzz' is not a field here (known here: alerts, data, forward, keep_days, log_format, mode, node, on_full,",
        ),
        (
            MINIMAL.replace("upstream", "upsteam"),
            "did you mean 'upstream'? (known here: answer_within, ca, hosts, keep_host, listen,",
        ),
        (MINIMAL + "file: x\n", "file: 'file' is not a field here (known here: alerts, data, forward,"),
        (MINIMAL + "policies: []\n", "policies: name a folder, or a list of folders such as [starter, ./policies]"),
        (MINIMAL + "policies: [1]\n", "policies: name a folder, or a list of folders such as [starter, ./policies]"),
        (MINIMAL + "mode: enforced\n", "3:7: error[unknown-value]: mode: 'enforced' is not one of 'monitor' or 'enforce'"),
        (MINIMAL + "keep_days: soon\n", "3:12: error[wrong-type]: keep_days: found 'soon', expected integer"),
        (MINIMAL + "mode: monitor\nmode: enforce\n", "4:1: error[duplicate-key]: 'mode' is already set at line 3"),
        (MINIMAL + "store: clickhouse://u:p@h\n", "a password does not belong in the file"),
        (MINIMAL + "store: postgres://h\n", "this is not a store; write chdb"),
        (MINIMAL + "reader: 127.0.0.1:9001\n", "server crm and reader both want 127.0.0.1:9001"),
        (MINIMAL.replace("9001", "many"), "is not host:port"),
        (MINIMAL.replace("8001", "8001/mcp"), "paths are passed on unchanged, so write http://127.0.0.1:8001"),
        (MINIMAL.replace("listen", "lsten"), "did you mean 'listen'?"),
        (MINIMAL.replace("crm", "'c r m'"), "is not a name"),
        (MINIMAL.replace("8001", "80010"), "is not a number up to 65535"),
        (MINIMAL.replace("listen: 127.0.0.1:9001, ", ""), "nothing brings traffic to server crm; add 'listen"),
        (MINIMAL + "forward: 127.0.0.1:9001\n", "server crm and forward both want 127.0.0.1:9001"),
        (MINIMAL + "forward: nine\n", "3:10: error[invalid]: forward: 'nine' is not host:port"),
        (MINIMAL + "other_hosts: all\n", "3:14: error[unknown-value]: other_hosts: 'all' is not one of"),
        (
            MINIMAL.replace("http://127.0.0.1:8001", "http://crm..example"),
            "2:51: error[invalid]: servers.0.upstream: the host of 'http://crm..example' is not a valid name",
        ),
        (
            MINIMAL + "  - {name: b, upstream: http://127.0.0.1:8001}\nforward: 127.0.0.1:9080\n",
            "servers crm and b both stand for 127.0.0.1:8001",
        ),
        (MINIMAL.replace("}", ", ca: missing.pem}"), "2:78: error[invalid]: servers.0.ca: "),
        (
            "servers:\n  - {name: crm, listen: 127.0.0.1:9001}\n",
            "2:5: error[invalid]: servers.0: server crm has 'listen' but no 'upstream'; add for example 'upstream: http://127",
        ),
        ("servers: [", "error[syntax]"),
        ("", "expected settings such as 'servers:'"),
        ("servers: &a [*a]\n", "error[alias]"),
        ("[" * 1000, "error[syntax]"),
    ],
)
def test_mistakes_are_named(tmp_path: Path, text: str, said: str) -> None:
    """File, line, column, what was found and what to write instead."""
    with pytest.raises(SettingsError) as caught:
        load(tmp_path, text)
    assert said in str(caught.value)
    assert str(tmp_path / "sidecar.yaml") in str(caught.value)


def test_servers_over_stdio_need_no_address(tmp_path: Path) -> None:
    """A server that its client starts through ``sidecar wrap`` is named to set something for it, or not at all."""
    loaded = load(tmp_path, MINIMAL + "  - {name: files, payloads: metadata}\n")
    assert [(server.name, server.is_stdio) for server in loaded.servers] == [("crm", False), ("files", True)]
    assert [server.name for server in loaded.http_servers] == ["crm"]
    assert load(tmp_path, "mode: monitor\n").servers == load(tmp_path, "servers: []\n").servers == ()


@given(st.text(max_size=200))
def test_no_text_breaks_the_reader(text: str) -> None:
    """Whatever stands in the file is settings or a clear error."""
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "sidecar.yaml"
        file.write_text(text, "utf-8", errors="surrogatepass")
        with pytest.raises(SettingsError):
            settings.load(file, {})


def test_keys_are_made_once_and_only_for_their_owner(tmp_path: Path) -> None:
    """The key of fingerprints and the reader's password survive a restart and are readable by one user only."""
    assert settings.node_key(tmp_path) == settings.node_key(tmp_path)
    assert settings.reader_token(tmp_path) == settings.reader_token(tmp_path)
    for name in ("key", "reader.token"):
        assert stat.S_IMODE((tmp_path / name).stat().st_mode) == 0o600


def test_the_data_folder_is_private(tmp_path: Path) -> None:
    """What is recorded is readable by one user only."""
    loaded = load(tmp_path, MINIMAL + "data: state\n")
    assert stat.S_IMODE(settings.open_data(loaded).stat().st_mode) == 0o700


def test_secrets_come_from_elsewhere(tmp_path: Path) -> None:
    """A webhook's address may be a variable or a file; what is missing is named, never shown."""
    (tmp_path / "hook").write_text("https://hook.example/x\n")
    assert settings.resolve_secret("env:HOOK", {"HOOK": "https://hook.example"}) == "https://hook.example"
    assert settings.resolve_secret(f"file:{tmp_path / 'hook'}", {}) == "https://hook.example/x"
    for reference in ("env:MISSING", f"file:{tmp_path / 'missing'}"):
        with pytest.raises(SettingsError):
            settings.resolve_secret(reference, {})
    assert settings.store_password({"SIDECAR_STORE_PASSWORD": "x"}) == "x"


def test_a_clickhouse_store_is_taken_apart() -> None:
    """User, host, port, database and TLS are all in one address."""
    address = parse_store("clickhouse://ada@db.example/audit?secure=true")
    assert (address.user, address.host, address.port, address.database, address.secure) == (
        "ada", "db.example", 8443, "audit", True
    )  # fmt: skip


def test_a_server_may_be_reached_only_as_itself(tmp_path: Path) -> None:
    """With a forward listener a server needs no listener of its own, and other hosts pass only where nobody else can ask."""
    text = "servers:\n  - {name: crm, upstream: https://CRM.example}\nforward: "
    loaded = load(tmp_path, text + "127.0.0.1:9080\n")
    assert (loaded.servers[0].listen, loaded.servers[0].target) == ("", ("crm.example", 443))
    assert loaded.passes_others
    assert not load(tmp_path, text + "0.0.0.0:9080\n").passes_others
    assert load(tmp_path, text + "0.0.0.0:9080\nother_hosts: pass\n").passes_others
    assert not load(tmp_path, text + "127.0.0.1:9080\nother_hosts: refuse\n").passes_others


def test_a_file_of_authorities_must_hold_one(tmp_path: Path) -> None:
    """A wrong ``ca`` is told at the start, with its place, not when the server is first called."""
    (tmp_path / "empty.pem").write_text("nothing")
    with pytest.raises(SettingsError) as caught:
        load(tmp_path, MINIMAL.replace("}", ", ca: empty.pem}"))
    assert "it holds no certificate; name a PEM file" in str(caught.value)


@pytest.mark.skipif("sys.platform != 'linux'", reason="the first half is about Linux")
def test_redirected_traffic_is_a_matter_of_linux(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Elsewhere the setting is refused with what to use instead, rather than found not to work."""
    assert load(tmp_path, MINIMAL + "transparent: 127.0.0.1:9443\n").transparent == "127.0.0.1:9443"
    monkeypatch.setattr("sys.platform", "darwin")
    with pytest.raises(SettingsError, match="'transparent' needs Linux"):
        load(tmp_path, MINIMAL + "transparent: 127.0.0.1:9443\n")
