import json
import random
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from pathlib import Path
from uuid import UUID

import pytest
import streamlit as st
from streamlit.testing.v1 import AppTest
from streamlit.testing.v1.element_tree import Element

from tests import seed
from tests.ports import free_port
from tests.seeded import ROOT, Record, write_settings

REVIEW = ROOT / "dashboards" / "review"
PAGES = {"calls": "views/calls.py", "findings": "views/findings.py", "health": "views/health.py", "call": "views/call.py"}

PLAIN = {"text", "code", "bidi_component", "selectbox"}
"""The elements that do not know markup; recorded text may stand only in these."""

Open = Callable[..., AppTest]


@pytest.fixture
def open_page(monkeypatch: pytest.MonkeyPatch) -> Iterator[Open]:
    """Runs a page over a record, as a browser's first visit does."""
    monkeypatch.syspath_prepend(str(REVIEW))

    def run(settings_file: str, name: str, **query: str) -> AppTest:
        monkeypatch.setenv("SIDECAR_CONFIG", settings_file)
        st.cache_resource.clear()
        page = AppTest.from_file(REVIEW / "app.py", default_timeout=30)
        page.switch_page(PAGES[name])
        for key, value in query.items():
            page.query_params[key] = value
        page.run()
        assert not page.exception
        return page

    yield run
    st.cache_resource.clear()


def table(page: AppTest, index: int = -1) -> list[dict[str, str]]:
    """The rows of one of the tables on a page, by the columns' labels, with where they lead as ``href``."""
    data = json.loads(page.get("bidi_component")[index].proto.json)
    labels = [column["label"] for column in data["columns"]]
    return [{"href": row["href"]} | dict(zip(labels, map(_text, row["cells"]), strict=True)) for row in data["rows"]]


def _text(cell: str | list[str] | None) -> str:
    return cell if isinstance(cell, str) else (cell or [""])[0]


def texts(page: AppTest) -> str:
    """All plain text and code on a page."""
    return "\n".join([element.value for element in page.text] + [element.value for element in page.code])


def test_the_calls_are_there(open_page: Open, record: Record) -> None:
    """The first page shows figures and the newest calls, with verdict, severity and rule as words."""
    page = open_page(record.settings.file, "calls")
    figures = {metric.label: metric.value for metric in page.metric}
    assert figures["Calls"] == str(seed.CALLS + 3)
    assert figures["Blocked"] == "12"
    second = table(page)[1]
    assert (second["Verdict"], second["Finding"]) == ("block", "critical")
    assert (second["Call"], second["Status"], second["Rule"]) == ("send_email", "blocked", "secrets.out")
    assert second["href"] == f"/call?id={seed.BLOCKED}"


def test_filters_come_from_the_address(open_page: Open, record: Record) -> None:
    """A link with filters opens the page as it was when the link was made."""
    page = open_page(record.settings.file, "calls", verdict="block", server="mail", since="7d")
    assert {row["Verdict"] for row in table(page)} == {"block"}
    assert page.selectbox(key="server").value == "mail"
    assert page.selectbox(key="since").value == "7d"


def test_a_link_to_a_session_narrows_the_page(open_page: Open, record: Record, now: datetime) -> None:
    """From a call one gets to all calls of its session, and back to all."""
    session = "0000000000000003"
    page = open_page(record.settings.file, "calls", session=session)
    expected = sum(row["session"] == session for row in seed.rows(now)["calls"])
    assert {metric.label: metric.value for metric in page.metric}["Calls"] == str(expected)
    page.button(key="all-session").click().run()
    assert {metric.label: metric.value for metric in page.metric}["Calls"] == str(seed.CALLS + 3)


def test_a_filter_without_result_says_what_to_do(open_page: Open, record: Record) -> None:
    """An empty list names the way out, and where clients connect."""
    page = open_page(record.settings.file, "calls", tool="no_such_tool")
    assert "Choose a longer time range or fewer filters" in page.info[0].value
    assert "crm: http://127.0.0.1:9001" in texts(page)


def test_a_call_shows_everything_about_it(open_page: Open, record: Record) -> None:
    """An alert's link opens the call: verdict, rule, message, payloads, finding, alert, policy version and text."""
    page = open_page(record.settings.file, "call", id=str(seed.BLOCKED))
    shown = texts(page)
    for expected in (
        "mail: send_email",
        "by rule secrets.out",
        "Not sent: the arguments hold an AWS access key.",
        '"subject": "Access"',
        '"isError": true',
        seed.VERSION,
        "secrets.yaml",
        seed.SECRETS_POLICY,
        "1.9 ms",
        "ada@example.com",
    ):
        assert expected in shown
    assert (table(page, 0)[0]["Rule"], table(page, 0)[0]["Masked"]) == ("secrets.out", seed.KEY_PREVIEW)
    assert table(page, 1)[0]["State"] == "sent"


@pytest.mark.parametrize(
    ("columns", "label", "told"),
    [
        (
            {"error_message": "Blocked by policy (secrets.out): Not sent. Retrying unchanged will not help."},
            "What the client was told:",
            "Blocked by policy (secrets.out): Not sent. Retrying unchanged will not help.",
        ),
        ({}, "The message of the rule, which the client was told:", "Not sent: the arguments hold {kinds}."),
        (
            {"policy_version": "unknown"},
            "The client was told that the call is not allowed, by this rule:",
            "A credential in the arguments of a call",
        ),
    ],
)
def test_a_blocked_call_shows_what_the_client_was_told(
    open_page: Open, empty_record: Record, now: datetime, columns: dict[str, str], label: str, told: str
) -> None:
    """The refusal stands where the response would, from the record or else from the rule as it was in force."""
    rng = random.Random(3)
    blocked = {"status": "blocked", "verdict": "block", "rule": "secrets.out", "response": "", "response_bytes": 0}
    call = seed.call_row(rng, now - timedelta(minutes=1), **blocked, **columns)
    policy = {"ts": seed.stamp(now), "node": seed.NODE, "version": seed.VERSION, "path": "secrets.yaml"}
    found = seed.finding_row(rng, call)
    empty_record.insert({"calls": [call], "findings": [found], "policies": [policy | {"text": seed.SECRETS_POLICY}]})
    page = open_page(empty_record.settings.file, "call", id=call["call_id"])
    assert f"The sidecar answered this call itself. {label}" in [element.value for element in page.caption]
    assert [element.value for element in page.code].count(told) == 1
    assert "Nothing was recorded." not in [element.value for element in page.caption]


@pytest.mark.parametrize(
    ("query", "told"),
    [
        ({}, "Which call?"),
        ({"id": "<b>no id</b>"}, "This is not the id of a call."),
        ({"id": str(UUID(int=1))}, "This call is not in the record"),
    ],
)
def test_a_wrong_link_is_explained(open_page: Open, record: Record, query: dict[str, str], told: str) -> None:
    """A link without a call, with nonsense, or to a call that is not there yet says so."""
    page = open_page(record.settings.file, "call", **query)
    assert any(told in element.value for element in [*page.info, *page.error])


def test_findings_are_there(open_page: Open, record: Record) -> None:
    """The findings page counts by rule and lists the newest."""
    page = open_page(record.settings.file, "findings", severity="critical")
    assert [(row["Rule"], row["Enforced"], row["Monitored"]) for row in table(page, 0)] == [("secrets.out", "12", "0")]
    assert {row["Kind"] for row in table(page, 1)} == {"secrets.aws-key"}


def test_health_says_what_is_in_force(open_page: Open, record: Record) -> None:
    """The health page answers whether it records, which policies judge, and what happened."""
    page = open_page(record.settings.file, "health")
    figures = {metric.label: metric.value for metric in page.metric}
    assert (figures["Recording"], figures["Policies on disk"], figures["Rows lost, 24 h"]) == ("yes", "in force", "2")
    assert f"policy version {seed.VERSION}" in texts(page)
    assert seed.PERSONAL_POLICY in texts(page)
    assert table(page)[0]["Event"] == "rows could not be stored"


@pytest.mark.parametrize("name", list(PAGES))
def test_a_broken_policy_is_said_at_the_top_of_every_page(
    open_page: Open, empty_record: Record, now: datetime, name: str
) -> None:
    """Whatever one came for, the first thing on the page is that the policies on disk do not load, and where."""
    loaded = seed.health_row(now - timedelta(minutes=5), "proxy", "policy_loaded", seed.VERSION)
    empty_record.insert({"health": [loaded, seed.broken_reload(now)]})
    page = open_page(empty_record.settings.file, name)
    assert page.error[0].value.startswith("The policy files on disk do not load. The last good version stays in force.")
    assert page.code[0].value == f"{seed.NODE}: {seed.RELOAD_PROBLEM}"


@pytest.mark.parametrize("name", list(PAGES))
def test_a_fresh_installation_shows_no_error(open_page: Open, empty_record: Record, name: str) -> None:
    """Before the first call every page says what to do instead of failing."""
    page = open_page(empty_record.settings.file, name)
    assert page.info
    assert not page.error


@pytest.mark.parametrize("name", list(PAGES))
def test_without_a_record_the_page_waits(open_page: Open, tmp_path: Path, name: str) -> None:
    """When the collector is not up yet, the page says so calmly and names what to start."""
    page = open_page(write_settings(tmp_path, free_port()).file, name)
    assert page.info[0].value.startswith("Waiting for the record.")
    assert "sidecar collect" in texts(page)
    assert not page.get("bidi_component")


@pytest.mark.parametrize("name", list(PAGES))
def test_recorded_text_stays_text(open_page: Open, record: Record, now: datetime, name: str) -> None:
    """HTML, pictures, links, terminal commands and reordered writing in names and payloads are shown, never obeyed."""
    page = open_page(record.settings.file, name, id=str(seed.HOSTILE))
    kinds = set()
    for element in page.main:
        kinds.add(element.type)
        if isinstance(element, Element) and element.type not in PLAIN:
            assert not any(word in str(element.proto) for word in ("hacked", "leak.example", "\x1b", "\u202e")), element
    assert kinds & PLAIN
    tables = range(len(page.get("bidi_component")))
    cells = [cell for index in tables for row in table(page, index) for cell in row.values()]
    for shown in [*texts(page).splitlines(), *cells, *(choice for box in page.selectbox for choice in box.options)]:
        assert shown.replace("\t", "").isprintable(), ascii(shown)
    if name != "health":
        assert "\\u202egnirts" in texts(page) + str(cells) + str([box.options for box in page.selectbox])
