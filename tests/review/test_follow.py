import random
from datetime import datetime, timedelta

import pytest

from sidecar.limits import FOLLOW_LOOKBACK_S, FOLLOW_SLACK_S
from sidecar.review.filters import Filters
from sidecar.review.follow import Follow
from tests import seed
from tests.seed import Row
from tests.seeded import Record

SLACK = timedelta(seconds=FOLLOW_SLACK_S)


def ended(end: datetime, lasted_s: float = 0.05, **columns: object) -> Row:
    """A call that ended at ``end``."""
    start = end - timedelta(seconds=lasted_s)
    return seed.call_row(random.Random(str((end, lasted_s))), start, duration_us=int(lasted_s * 1e6), **columns)


def ids(rows: list[Row]) -> list[str]:
    """The call ids of rows that are to be stored."""
    return [row["call_id"] for row in rows]


class Reader:
    """Follows a record and remembers what it was shown."""

    def __init__(self, record: Record, now: datetime, limit: int = 10, **chosen: str) -> None:
        filters = Filters(since=now - timedelta(hours=1), limit=limit, **chosen)  # type: ignore[arg-type]
        self.record, self.now, self.follow = record, now, Follow(filters)
        self.first = [str(row.call_id) for row in self.follow.first(record.client, now)]

    def sees(self, *rows: Row) -> list[str]:
        """What one look shows after ``rows`` arrived."""
        self.record.insert({"calls": list(rows)})
        return [str(row.call_id) for row in self.follow.poll(self.record.client, self.now)]


def test_following_begins_with_the_newest_and_goes_on_from_there(empty_record: Record, now: datetime) -> None:
    """One sees the last calls, then each new one once."""
    old = [ended(now - timedelta(minutes=10 - number)) for number in range(5)]
    empty_record.insert({"calls": old})
    reader = Reader(empty_record, now, limit=2)
    assert reader.first == ids(old[-2:])
    new = [ended(now + timedelta(seconds=number)) for number in range(3)]
    assert reader.sees() == []
    assert reader.sees(*new) == ids(new)
    assert reader.sees() == []


def test_a_long_call_is_shown_when_it_ends(empty_record: Record, now: datetime) -> None:
    """A call of ten minutes arrives long after younger ones and is not missed."""
    reader = Reader(empty_record, now)
    short = ended(now + timedelta(seconds=1))
    long = ended(now + timedelta(seconds=2), lasted_s=600)
    assert reader.sees(short) == ids([short])
    assert reader.sees(long) == ids([long])


def test_a_call_whose_proxy_died_is_shown_though_its_end_is_unknown(empty_record: Record, now: datetime) -> None:
    """A call without an answer is recorded at the restart, with the time it began, and shown then, once."""
    reader = Reader(empty_record, now)
    assert reader.sees(ended(now + timedelta(seconds=5)))
    lost = ended(now - timedelta(hours=3), lasted_s=0, status="no_response")
    assert reader.sees(lost) == ids([lost])
    assert reader.sees() == []


def test_what_an_outage_held_back_is_shown_when_it_comes(empty_record: Record, now: datetime) -> None:
    """A collector that was down for an hour ships what it owes, and nothing of it is passed over."""
    before = ended(now - timedelta(minutes=60))
    empty_record.insert({"calls": [before]})
    reader = Reader(empty_record, now)
    owed = [ended(now - timedelta(minutes=50 - number)) for number in range(40)]
    assert reader.sees(*owed) == ids(owed)


def test_nodes_do_not_hide_each_other(empty_record: Record, now: datetime) -> None:
    """While one node writes on, the late rows of another, and those of a new one, are still shown."""
    empty_record.insert({"calls": [ended(now - timedelta(minutes=30), node="b")]})
    reader = Reader(empty_record, now)
    assert reader.sees(ended(now + timedelta(minutes=1), node="a"))
    late = [ended(now - timedelta(minutes=20), node="b"), ended(now - timedelta(minutes=15), node="c")]
    assert reader.sees(*late) == ids(late)


def test_rows_out_of_order_within_the_slack_are_shown(empty_record: Record, now: datetime) -> None:
    """Two proxies of one node may ship in turns; neither's calls are lost."""
    reader = Reader(empty_record, now)
    ahead = ended(now + timedelta(minutes=5))
    behind = ended(now + timedelta(minutes=5) - SLACK + timedelta(seconds=1))
    assert reader.sees(ahead) == ids([ahead])
    assert reader.sees(behind) == ids([behind])


def test_only_what_fits_is_followed(empty_record: Record, now: datetime) -> None:
    """A filter holds for what comes, too."""
    reader = Reader(empty_record, now, server="mail")
    wanted = ended(now + timedelta(seconds=1), server="mail")
    assert reader.sees(ended(now + timedelta(seconds=1), 0.1), wanted) == ids([wanted])


def test_what_is_remembered_stays_small(empty_record: Record, now: datetime) -> None:
    """Following for days does not fill memory: ids behind the slack are dropped, and their calls still not repeated."""
    reader = Reader(empty_record, now)
    for minute in range(4):
        new = [ended(now + timedelta(minutes=minute, milliseconds=number)) for number in range(200)]
        assert len(reader.sees(*new)) == 200
    assert len(reader.follow._seen) <= 2 * 200
    reader.now += timedelta(seconds=FOLLOW_LOOKBACK_S) / 2
    assert reader.sees() == []


@pytest.mark.parametrize("count", [0, 350])
def test_a_burst_arrives_whole(empty_record: Record, now: datetime, count: int) -> None:
    """Hundreds of calls at once are all shown, in the order in which they began."""
    reader = Reader(empty_record, now)
    burst = [ended(now + timedelta(milliseconds=number)) for number in range(count)]
    assert reader.sees(*burst) == ids(burst)
