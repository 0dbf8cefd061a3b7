import json
import random
import re
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from sidecar.errors import SettingsError
from sidecar.grafana.board import Board, load_board
from sidecar.grafana.build_boards import as_text, board_files, dashboard
from tests import seed
from tests.grafana.macros import ALL, expand
from tests.seeded import Record

OVERVIEW = next(file for file in board_files() if file.stem == "overview")
BOARD = load_board(OVERVIEW)
BUILT = dashboard(BOARD)
PANELS: dict[str, dict[str, Any]] = {panel["title"]: panel for panel in BUILT["panels"]}
QUERIES = {title: panel["targets"][0]["rawSql"] for title, panel in PANELS.items()}
OTHER_QUERIES = {
    "variable": BUILT["templating"]["list"][0]["query"]["rawSql"],
    "annotation": BUILT["annotations"]["list"][0]["target"]["rawSql"],
}
CHOICES = {"all": ALL, "one": ("crm",), "two": ("crm", "mail"), "quote": ("o'brien",)}


def ask(record: Record, sql: str, now: datetime, chosen: tuple[str, ...] = ALL) -> tuple[list[str], list[tuple[Any, ...]]]:
    """The column types and rows of a query, run as Grafana's plugin runs it."""
    text = expand(sql, now - timedelta(hours=24), now + timedelta(seconds=1), server=chosen)
    assert "$" not in text, "a macro or variable was left over"
    result = record.client.query(text)
    return [column.name for column in result.column_types], [tuple(row) for row in result.result_rows]


@pytest.mark.parametrize("chosen", list(CHOICES))
@pytest.mark.parametrize("title", list(QUERIES))
def test_every_panel_shows_something_of_the_right_shape(record: Record, now: datetime, title: str, chosen: str) -> None:
    """On a record with life in it no panel is empty or broken, whichever servers are chosen."""
    types, rows = ask(record, QUERIES[title], now, CHOICES[chosen])
    kind = PANELS[title]["type"]
    if kind == "stat":
        assert len(types) == len(rows) == 1
    if chosen == "quote":
        # The engine gives no columns where there are no rows.
        assert kind == "stat" or title == "What happened to the sidecar" or rows == []
        return
    if kind == "timeseries":
        assert re.match(r"DateTime", types[0])
        assert "String" in types[1]
        assert re.match(r"U?Int|Float", types[2])
        assert [row[0] for row in rows] == sorted(row[0] for row in rows)
    assert rows
    assert all(value is not None for row in rows for value in row)


@pytest.mark.parametrize("title", list(QUERIES))
def test_an_empty_record_breaks_no_panel(empty_record: Record, now: datetime, title: str) -> None:
    """On a fresh installation the board stands there, with zeros and words instead of errors."""
    _, rows = ask(empty_record, QUERIES[title], now)
    if PANELS[title]["type"] == "stat":
        assert rows[0][0] in (0, None, "")
        has_word = "noValue" in PANELS[title]["fieldConfig"]["defaults"]
        assert has_word or rows[0][0] == 0
    else:
        assert rows == []


def test_figures_are_those_of_the_record(record: Record, now: datetime) -> None:
    """The numbers at the top are counted right."""
    rows = seed.rows(now)
    expected = {
        "Calls": len(rows["calls"]),
        "Blocked": sum(row["verdict"] == "block" for row in rows["calls"]),
        "Critical findings": sum(row["severity"] == "critical" for row in rows["findings"]),
        "Sessions": len({row["session"] for row in rows["calls"]}),
        "Without an answer": sum(row["status"] == "no_response" for row in rows["calls"]),
        "Alerts not delivered": sum(row["state"] != "sent" for row in rows["alerts"]),
        "Record problems": 2,
        "Policies on disk": 0,
        "Policies in force": seed.VERSION,
    }
    assert {title: ask(record, QUERIES[title], now)[1][0][0] for title in expected} == expected
    assert 9 <= ask(record, QUERIES["Since the last call"], now)[1][0][0] <= 11


def test_a_choice_of_server_holds(record: Record, now: datetime) -> None:
    """With one server chosen the board is about that server."""
    calls = [row for row in seed.rows(now)["calls"] if row["server"] == "mail"]
    assert ask(record, QUERIES["Calls"], now, ("mail",))[1] == [(len(calls),)]
    assert [row[0] for row in ask(record, QUERIES["Top servers"], now, ("mail",))[1]] == ["mail"]


def test_a_server_with_a_quote_in_its_name_is_found(empty_record: Record, now: datetime) -> None:
    """A name is a name: it neither breaks a query nor widens it."""
    calls = [seed.call_row(random.Random(number), now, server=name) for number, name in enumerate(("o'brien", "crm"))]
    empty_record.insert({"calls": calls})
    assert ask(empty_record, QUERIES["Calls"], now, ("o'brien",))[1] == [(1,)]
    assert ask(empty_record, QUERIES["Calls"], now, ("o'brien", "x') OR 1=1 --"))[1] == [(1,)]


def test_policies_that_do_not_load_are_seen(empty_record: Record, now: datetime) -> None:
    """A failing reload, and nodes that disagree, stand on the board; a stopped node counts no more."""

    def at(minutes: int) -> datetime:
        return now - timedelta(minutes=minutes)

    health = [
        seed.health_row(at(9), "proxy", "proxy_started", node="a"),
        seed.health_row(at(8), "proxy", "policy_loaded", "111", node="a"),
        seed.health_row(at(7), "proxy", "policy_loaded", "222", node="b"),
        seed.broken_reload(at(6), node="b"),
    ]
    empty_record.insert({"health": health})
    assert ask(empty_record, QUERIES["Policies in force"], now)[1] == [("111, 222",)]
    assert ask(empty_record, QUERIES["Policies on disk"], now)[1] == [(1,)]
    empty_record.insert({"health": [seed.health_row(at(5), "proxy", "proxy_stopped", node="b")]})
    assert ask(empty_record, QUERIES["Policies in force"], now)[1] == [("111",)]
    assert ask(empty_record, QUERIES["Policies on disk"], now)[1] == [(0,)]


@pytest.mark.parametrize("name", list(OTHER_QUERIES))
def test_choices_and_annotations_run(record: Record, empty_record: Record, now: datetime, name: str) -> None:
    """The variable offers the servers that were called, and policy reloads are marked on the time axis."""
    types, rows = ask(record, OTHER_QUERIES[name], now)
    if name == "variable":
        assert [row[0] for row in rows] == ["crm", "files", "mail"]
    else:
        assert re.match(r"DateTime", types[0])
        assert [row[1].split(":")[0] for row in rows] == ["Policies loaded", "Policies do not load", "Policies loaded"]
    assert ask(empty_record, OTHER_QUERIES[name], now)[1] == []


def test_a_table_names_the_columns_it_shows(record: Record, now: datetime) -> None:
    """Every column of a table has a title and a unit, and none is named that the query does not give."""
    for panel in BOARD.panels:
        if panel.kind == "table":
            text = expand(QUERIES[panel.title], now - timedelta(hours=1), now, server=ALL)
            assert record.client.query(text).column_names == tuple(panel.columns)


def test_the_committed_json_is_up_to_date() -> None:
    """Whoever takes the file instead of the push gets the same board; `python -m sidecar.grafana.build_boards` writes it."""
    assert OVERVIEW.with_suffix(".json").read_text("utf-8") == as_text(BUILT)


def test_panels_stand_side_by_side() -> None:
    """No panel covers another or hangs over the edge, and ids are unique."""
    taken: set[tuple[int, int]] = set()
    for panel in BUILT["panels"]:
        place = panel["gridPos"]
        cells = {(x, y) for x in range(place["x"], place["x"] + place["w"]) for y in range(place["y"], place["y"] + place["h"])}
        assert not cells & taken, panel["title"]
        assert max(x for x, _ in cells) < 24
        taken |= cells
    assert len({panel["id"] for panel in BUILT["panels"]}) == len(BUILT["panels"]) == len(PANELS)


@pytest.mark.parametrize("title", list(PANELS))
def test_every_panel_says_what_it_shows(title: str) -> None:
    """A reader finds a unit and an explanation on each panel."""
    panel = PANELS[title]
    assert panel["fieldConfig"]["defaults"]["unit"]
    assert panel["description"].endswith(".")
    assert panel["datasource"] == {"type": "grafana-clickhouse-datasource", "uid": "sidecar-clickhouse"}


@pytest.mark.parametrize("name", [*QUERIES, *OTHER_QUERIES])
def test_queries_are_bounded_and_exact(name: str) -> None:
    """Every query filters by time, names its columns, and reads no payload."""
    sql = (QUERIES | OTHER_QUERIES)[name]
    assert "$__timeFilter(" in sql or "$__timeTo(ts)" in sql
    assert "SELECT *" not in sql
    assert not re.search(r"\b(request|response)\b", sql)
    assert "{" not in sql.replace("${server:singlequote}", "")


def test_every_variable_is_used_and_colour_has_a_word() -> None:
    """A choice at the top changes something, and what is coloured is also named."""
    for variable in BUILT["templating"]["list"]:
        assert any(f"${variable['name']})" in sql for sql in QUERIES.values())
    for panel in BUILT["panels"]:
        if panel["type"] == "timeseries":
            assert panel["options"]["legend"]["showLegend"]


def test_links_lead_to_the_page() -> None:
    """Links open the review page at its address, on pages that it has."""
    built = json.dumps(dashboard(BOARD, page="https://mcp.ourco.example/sidecar"))
    links = set(re.findall(r"https://mcp\.ourco\.example/sidecar(/[^\"?]*)", built))
    assert links == {"/", "/findings"}
    assert "127.0.0.1" not in built


def test_another_database_is_read_there() -> None:
    """With the record in a database of another name, no query asks the default one."""
    queries = [panel["targets"][0]["rawSql"] for panel in dashboard(BOARD, database="audit")["panels"]]
    assert all(" audit." in sql and "sidecar." not in sql for sql in queries)


def test_the_tag_changes_with_the_content() -> None:
    """A push sees at one look whether a board is the one it would write."""
    again = BOARD.model_copy(update={"title": "Another"})
    assert dashboard(BOARD)["tags"] == BUILT["tags"]
    assert dashboard(again)["tags"][1] != BUILT["tags"][1]
    assert re.fullmatch(r"sidecar:[0-9a-f]{12}", BUILT["tags"][1])


def test_a_mistake_in_a_board_is_told_with_its_place(tmp_path: Path) -> None:
    """Whoever edits a board is told the line, the field and the nearest right name."""
    file = tmp_path / "wrong.yaml"
    text = OVERVIEW.read_text("utf-8").replace(
        "unit: short\n    description: Requests", "unti: short\n    description: Requests", 1
    )
    file.write_text(text)
    with pytest.raises(SettingsError) as caught:
        load_board(file)
    line = text.splitlines().index("    unti: short") + 1
    assert f"{file}:{line}:5: error[unknown-field]" in str(caught.value)
    assert "did you mean 'unit'?" in str(caught.value)
    with pytest.raises(SettingsError, match="cannot be read"):
        load_board(tmp_path / "none.yaml")
    assert isinstance(load_board(OVERVIEW), Board)
