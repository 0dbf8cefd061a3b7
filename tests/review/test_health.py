from datetime import datetime, timedelta

from sidecar.review import health
from sidecar.review.filters import Filters
from tests import seed
from tests.seeded import Record


def state(record: Record, now: datetime) -> list[health.NodeHealth]:
    """The nodes as the page asks for them."""
    return health.nodes(record.client, now - timedelta(days=90), now - timedelta(days=1))


def test_a_healthy_node_says_what_is_in_force(record: Record, now: datetime) -> None:
    """The page knows which policies judge, that all parts run, and that a reload failure is over."""
    (node,) = state(record, now)
    assert (node.node, node.policy_version) == (seed.NODE, seed.VERSION)
    assert node.reload_failed is not None
    assert not node.is_reload_failing
    assert node.is_proxy_running
    assert node.is_collector_running
    assert node.rows_lost == 2


def test_lost_rows_are_said_on_every_page(record: Record, now: datetime) -> None:
    """Whoever looks at the numbers is told that some are missing."""
    (notice,) = health.notices(state(record, now))
    assert notice.title == "2 recorded rows could not be stored in the last day."
    assert notice.is_grave


def test_a_broken_policy_folder_is_said_first(empty_record: Record, now: datetime) -> None:
    """A saved mistake in a policy is announced, with its place, until the folder loads again."""

    def at(minutes: int) -> datetime:
        return now - timedelta(minutes=minutes)

    empty_record.insert({"health": [seed.health_row(at(9), "proxy", "policy_loaded", seed.VERSION)]})
    assert health.notices(state(empty_record, now)) == []

    empty_record.insert({"health": [seed.health_row(at(8), "proxy", "rows_lost"), seed.broken_reload(at(7))]})
    first = health.notices(state(empty_record, now))[0]
    assert first.title == "The policy files on disk do not load. The last good version stays in force."
    assert (first.detail, first.since, first.is_grave) == (seed.RELOAD_PROBLEM, at(7), True)
    assert state(empty_record, now)[0].policy_version == seed.VERSION

    empty_record.insert({"health": [seed.health_row(at(6), "proxy", "policy_loaded", "0123456789ab")]})
    assert not state(empty_record, now)[0].is_reload_failing
    assert state(empty_record, now)[0].policy_version == "0123456789ab"


def test_stopped_parts_are_said_until_they_start(empty_record: Record, now: datetime) -> None:
    """A stopped proxy or collector is named, per node, and forgotten when it runs again."""

    def at(minutes: int) -> datetime:
        return now - timedelta(minutes=minutes)

    rows = [seed.health_row(at(9), "proxy", "proxy_started"), seed.health_row(at(8), "proxy", "proxy_stopped")]
    rows += [seed.health_row(at(7), "collector", "collector_stopped", node="node-b")]
    empty_record.insert({"health": rows})
    told = health.notices(state(empty_record, now))
    assert [(notice.node, notice.title.split(":")[0]) for notice in told] == [
        ("node-a", "The proxy is stopped"),
        ("node-b", "The collector is stopped"),
    ]
    empty_record.insert({"health": [seed.health_row(at(6), "proxy", "proxy_started")]})
    assert [notice.node for notice in health.notices(state(empty_record, now))] == ["node-b"]


def test_events_are_told_newest_first(record: Record, now: datetime) -> None:
    """What happened to the sidecar stands there, with problems marked."""
    found = health.events(record.client, Filters(since=now - timedelta(days=1), limit=3))
    assert [(event.metric, event.is_problem) for event in found] == [
        ("rows_lost", True),
        ("store_unreachable", True),
        ("policy_loaded", False),
    ]


def test_the_last_call_of_each_node_is_known(record: Record, now: datetime) -> None:
    """A silent node is told from a busy one."""
    assert health.last_calls(record.client, now - timedelta(days=1)) == {seed.NODE: now - timedelta(seconds=9)}


def test_an_empty_record_is_no_error(empty_record: Record, now: datetime) -> None:
    """Before anything ran there is nothing to report and nothing to warn of."""
    assert state(empty_record, now) == []
    assert health.notices([]) == []
    assert health.events(empty_record.client, Filters(since=now)) == []
    assert health.last_calls(empty_record.client, now) == {}


def test_oauth_that_cannot_work_is_said_until_the_proxy_starts_anew(empty_record: Record, now: datetime) -> None:
    """The operator reads which server it is and what to do, until the settings were changed and the proxy restarted."""

    def at(minutes: int) -> datetime:
        return now - timedelta(minutes=minutes)

    rows = [seed.health_row(at(9), "proxy", "proxy_started")]
    rows += [seed.health_row(at(8), "proxy", "oauth_needs_forward", "crm demands OAuth as https://crm.example")]
    empty_record.insert({"health": rows})
    (notice,) = health.notices(state(empty_record, now))
    assert (notice.detail, notice.since, notice.is_grave) == (rows[1]["detail"], at(8), True)
    empty_record.insert({"health": [seed.health_row(at(7), "proxy", "proxy_started")]})
    assert health.notices(state(empty_record, now)) == []


def test_counts_of_other_hosts_do_not_drown_what_happened(empty_record: Record, now: datetime) -> None:
    """The list shows what happened to the sidecar; what was passed on for others is in the table for whoever asks."""
    rows = [seed.health_row(now, "proxy", "passed_on", "x:443: ..."), seed.health_row(now, "proxy", "proxy_started")]
    empty_record.insert({"health": rows})
    listed = health.events(empty_record.client, Filters(since=now - timedelta(days=1)))
    assert [event.metric for event in listed] == ["proxy_started"]
