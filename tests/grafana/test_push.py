import argparse
import json
from pathlib import Path
from typing import Any

import pytest

from sidecar.errors import SettingsError, SidecarError
from sidecar.grafana import push
from sidecar.grafana.build_boards import board_files
from sidecar.grafana.push import Grafana, PlannedChange, different
from sidecar.settings import Settings, load, reader_token
from tests.grafana.fake import FakeGrafana
from tests.ports import free_port
from tests.seeded import write_settings

THREE = ["POST /api/datasources", "POST /api/folders", "POST /api/dashboards/db"]


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """An installation with the embedded store."""
    return write_settings(tmp_path, 8124)


def options(*words: str) -> argparse.Namespace:
    """What the command line makes of ``words``."""
    parser = argparse.ArgumentParser()
    push.add_arguments(parser)
    return parser.parse_args(words)


def pushed(grafana: FakeGrafana, settings: Settings, environ: dict[str, str] | None = None) -> list[PlannedChange]:
    """What one push writes."""
    client = Grafana(grafana.url, grafana.token)
    try:
        return client.push(settings, environ or {})
    finally:
        client.close()


def test_twice_is_once(grafana: FakeGrafana, settings: Settings) -> None:
    """The first push writes data source, folder and board; the second finds everything as it should be."""
    assert [change.what for change in pushed(grafana, settings)] == [
        "create data source",
        "create folder",
        "create board sidecar-overview",
    ]
    assert grafana.writes == THREE
    assert pushed(grafana, settings) == []
    assert grafana.writes == THREE


def test_the_board_finds_its_data(grafana: FakeGrafana, settings: Settings) -> None:
    """Folder, board and data source fit together, and the data source reads the sidecar's record."""
    pushed(grafana, settings)
    source = grafana.sources["sidecar-clickhouse"]
    assert source["type"] == "grafana-clickhouse-datasource"
    expected = {"host": "127.0.0.1", "port": 8124, "protocol": "http", "secure": False, "username": "sidecar"}
    assert expected.items() <= source["jsonData"].items()
    assert source["jsonData"]["defaultDatabase"] == "sidecar"
    assert grafana.secrets["sidecar-clickhouse"] == {"password": reader_token(settings.data_path)}
    board = grafana.boards["sidecar-overview"]
    assert board["meta"]["folderUid"] == "sidecar"
    assert {panel["datasource"]["uid"] for panel in board["dashboard"]["panels"]} == {"sidecar-clickhouse"}
    assert f"http://{settings.page}/" in [link["url"] for link in board["dashboard"]["links"]]


def test_a_changed_panel_is_one_write(
    grafana: FakeGrafana, settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After an upgrade that changes a panel, the next push writes the board and nothing else, once."""
    pushed(grafana, settings)
    file = tmp_path / "overview.yaml"
    file.write_text(board_files()[0].read_text("utf-8").replace("Calls that a policy stopped.", "Calls a policy stopped."))
    monkeypatch.setattr(push, "board_files", lambda: [file])
    (change,) = pushed(grafana, settings)
    assert str(change) == "update board sidecar-overview: dashboard.panels[2].description, dashboard.tags[1]"
    assert grafana.writes == [*THREE, "POST /api/dashboards/db"]
    assert pushed(grafana, settings) == []


def test_what_was_changed_in_grafana_is_put_back(grafana: FakeGrafana, settings: Settings) -> None:
    """A query edited by hand is found although the tag is still there."""
    pushed(grafana, settings)
    grafana.boards["sidecar-overview"]["dashboard"]["panels"][0]["targets"][0]["rawSql"] = "SELECT 1"
    assert [change.parts for change in pushed(grafana, settings)] == [("dashboard.panels[0].targets[0].rawSql",)]
    assert pushed(grafana, settings) == []


def test_boards_of_others_are_left_alone(grafana: FakeGrafana, settings: Settings) -> None:
    """A board somebody put into our folder, and everything elsewhere, stays as it is."""
    pushed(grafana, settings)
    theirs: dict[str, Any] = {
        "dashboard": {"uid": "theirs", "title": "MCP sidecar: overview"},
        "meta": {"folderUid": "sidecar"},
    }
    grafana.boards["theirs"] = theirs
    before = json.dumps(grafana.boards["theirs"])
    grafana.boards["sidecar-overview"]["dashboard"]["title"] = "edited"
    pushed(grafana, settings)
    assert json.dumps(grafana.boards["theirs"]) == before
    assert grafana.boards["sidecar-overview"]["dashboard"]["title"] == "MCP sidecar: overview"


def test_a_new_password_is_noticed_and_other_settings_stay(grafana: FakeGrafana, settings: Settings) -> None:
    """Grafana never gives a password back; a changed one is written all the same, beside what people set there."""
    pushed(grafana, settings)
    grafana.sources["sidecar-clickhouse"]["jsonData"]["queryTimeout"] = "90"
    assert pushed(grafana, settings) == []
    (settings.data_path / "reader.token").write_text("another-token")
    (change,) = pushed(grafana, settings)
    assert str(change) == "update data source: jsonData.sidecarFingerprint"
    assert grafana.secrets["sidecar-clickhouse"] == {"password": "another-token"}
    assert grafana.sources["sidecar-clickhouse"]["jsonData"]["queryTimeout"] == "90"


def test_a_clickhouse_server_is_read_directly(grafana: FakeGrafana, settings: Settings) -> None:
    """With a ClickHouse server, Grafana asks it and not the sidecar; the password comes from the environment."""
    text = Path(settings.file).read_text() + "store: clickhouse://audit@ch.ourco.example/mcp?secure=true\n"
    Path(settings.file).write_text(text)
    password = "from the " + "environment"
    pushed(grafana, load(settings.file, {}), {"SIDECAR_STORE_PASSWORD": password})
    data = grafana.sources["sidecar-clickhouse"]["jsonData"]
    assert {name: data[name] for name in ("host", "port", "secure", "username", "defaultDatabase")} == {
        "host": "ch.ourco.example",
        "port": 8443,
        "secure": True,
        "username": "audit",
        "defaultDatabase": "mcp",
    }
    assert grafana.secrets["sidecar-clickhouse"] == {"password": password}
    assert " mcp.calls " in grafana.boards["sidecar-overview"]["dashboard"]["panels"][0]["targets"][0]["rawSql"]


def test_the_command_says_what_it_did(grafana: FakeGrafana, settings: Settings, capsys: pytest.CaptureFixture[str]) -> None:
    """`sidecar dashboards push` names each write, and says so when there is none; no password is printed."""
    environ = {"GRAFANA_USER": grafana.login[0], "GRAFANA_PASSWORD": grafana.login[1]}
    for words, told in (
        (["--dry-run"], "would create data source\nwould create folder\nwould create board sidecar-overview\n"),
        ([], "create data source\ncreate folder\ncreate board sidecar-overview\n"),
        ([], f"{grafana.url} is up to date\n"),
        (["--dry-run"], f"{grafana.url} is up to date\n"),
    ):
        assert push.run(options("--url", grafana.url, *words), settings, environ) == 0
        assert capsys.readouterr().out == told
    assert grafana.writes == THREE


def test_a_grafana_under_a_path_is_found(settings: Settings) -> None:
    """Behind a proxy under a path the push works, too."""
    with FakeGrafana("/grafana") as grafana:
        assert len(pushed(grafana, settings)) == 3
        assert grafana.writes == THREE


def refused(url: str, credentials: push.Credentials, settings: Settings) -> str:
    """What a failed push says."""
    client = Grafana(url, credentials)
    try:
        with pytest.raises(SidecarError) as caught:
            client.push(settings, {})
    finally:
        client.close()
    return str(caught.value)


def test_a_wrong_token_is_said(grafana: FakeGrafana, settings: Settings) -> None:
    """One sentence says that the credentials are wrong and where they come from; the token is not repeated."""
    told = refused(grafana.url, "a wrong token", settings)
    assert told == (
        f"Grafana at {grafana.url} refuses the credentials (401); set GRAFANA_TOKEN to the token of a service account, "
        "or GRAFANA_USER and GRAFANA_PASSWORD"
    )
    assert grafana.writes == []


def test_a_missing_plugin_is_said_before_anything_is_written(grafana: FakeGrafana, settings: Settings) -> None:
    """Without the ClickHouse plugin the board would be empty; the message says how to install it."""
    grafana.plugins.clear()
    told = refused(grafana.url, grafana.token, settings)
    assert "does not have the ClickHouse data source plugin" in told
    assert "grafana cli plugins install grafana-clickhouse-datasource" in told
    assert grafana.writes == []


def test_an_unreachable_grafana_is_said(settings: Settings) -> None:
    """A wrong address or a stopped Grafana is one sentence."""
    url = f"http://127.0.0.1:{free_port()}"
    assert refused(url, "x", settings) == (
        f"Grafana at {url} cannot be reached (ConnectionError); is it running, and is this its URL?"
    )


@pytest.mark.parametrize(
    ("status", "told"),
    [
        (403, "does not let these credentials do that (403: 'permission denied by a role')"),
        (500, "answers with status 500: 'permission denied by a role'"),
        (200, "is not from Grafana's API"),
    ],
)
def test_other_refusals_are_said(grafana: FakeGrafana, settings: Settings, status: int, told: str) -> None:
    """A role without rights, a broken server, and something that is no Grafana are told apart."""
    grafana.status = status
    assert told in refused(grafana.url, grafana.token, settings)


@pytest.mark.parametrize("url", ["grafana:3000", "ftp://grafana", "http://", "http://user:pass@grafana"])
def test_a_wrong_address_says_what_to_write(url: str) -> None:
    """An address that cannot be one is refused with an example."""
    with pytest.raises(SettingsError, match="is not a Grafana URL; write for example"):
        Grafana(url, "x")


def test_no_credentials_is_said(settings: Settings) -> None:
    """Without token and password the command says which variables to set."""
    with pytest.raises(SettingsError, match="no credentials for Grafana; set GRAFANA_TOKEN"):
        push.run(options(), settings, {})


@pytest.mark.parametrize(
    ("wanted", "have", "parts"),
    [
        ({"a": 1}, {"a": 1, "b": 2}, ()),
        ({"a": {"b": [1, {"c": 2}]}}, {"a": {"b": [1, {"c": 2, "d": 3}]}}, ()),
        ({"a": {"b": [1, {"c": 2}]}}, {"a": {"b": [1, {"c": 3}]}}, ("a.b[1].c",)),
        ({"a": [1]}, {"a": [1, 2]}, ("a",)),
        ({"a": "", "b": [], "c": {}, "d": None, "e": False}, {}, ()),
        ({"a": 1.0}, {"a": 1}, ()),
        ({"a": 1}, None, ("",)),
    ],
)
def test_what_grafana_adds_is_no_difference(wanted: Any, have: Any, parts: tuple[str, ...]) -> None:
    """Only what we want and is not there counts, named by its place."""
    assert different(wanted, have) == parts
