"""``sidecar calls``: recent calls in the terminal, once or as they end."""

import argparse
import os
import shutil
import signal
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Final

from clickhouse_connect.driver.client import Client

from sidecar.errors import StoreError
from sidecar.limits import LIST_ROWS_MAX
from sidecar.record.store import reader
from sidecar.review.call_lines import CallTable, JsonLines, Lines, is_coloured
from sidecar.review.calls import ReadCall, calls
from sidecar.review.filters import Filters, parse_since
from sidecar.review.follow import Follow
from sidecar.review.read import quiet_clients
from sidecar.review.wording import VERDICTS
from sidecar.settings import Settings

_POLL_S: Final = 0.5
_RETRY_S: Final = 2.0
"""How long to wait before the next query: for new calls, and after the store did not answer."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of ``sidecar calls``."""
    parser.add_argument("-f", "--follow", action="store_true", help="keep running and show calls as they end")
    parser.add_argument("--server", default="", help="only calls to this server")
    parser.add_argument("--tool", default="", help="only calls to this tool, prompt or resource")
    parser.add_argument(
        "--verdict",
        default="",
        choices=("", *VERDICTS),
        metavar="VERDICT",
        help=f"only calls with this verdict: {', '.join(VERDICTS)}",
    )
    parser.add_argument(
        "--since",
        default="24h",
        help="how far back: 15m, 2h, 7d, or a time in UTC such as 2026-11-22T14:00 (default: 24h)",
    )
    parser.add_argument("--limit", type=int, default=50, help=f"how many calls to list, at most {LIST_ROWS_MAX} (default: 50)")
    parser.add_argument(
        "--format",
        choices=("text", "json"),
        default="text",
        help="a table for people, or one JSON object per line (default: text)",
    )


def run(args: argparse.Namespace, settings: Settings) -> int:
    """Show calls on standard output; returns 0, or 2 when an option is not valid.

    Raises:
        SettingsError: the record's password cannot be read.
        StoreError: the record cannot be read, and nothing was shown yet.
    """
    now = datetime.now(UTC)
    try:
        since = parse_since(args.since, now)
    except ValueError as error:
        _write_error(f"sidecar calls: --since: {error}")
        return 2
    if not 1 <= args.limit <= LIST_ROWS_MAX:
        _write_error(f"sidecar calls: --limit: {args.limit} is not between 1 and {LIST_ROWS_MAX}; write --limit 100")
        return 2
    filters = Filters(since=since, server=args.server, tool=args.tool, verdict=args.verdict, limit=args.limit)
    quiet_clients()
    client = reader(settings)
    try:
        if args.follow:
            return _follow(client, filters, _lines(args.format))
        return _once(client, filters, _lines(args.format), args.since)
    except KeyboardInterrupt:
        return 0
    except BrokenPipeError:
        # The reader of our output has ended (`| head`); what Python flushes when it exits goes to /dev/null.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    finally:
        client.close()


def _once(client: Client, filters: Filters, lines: Lines, since: str) -> int:
    found = calls(client, filters)
    _show(lines, found[::-1])
    if not found:
        _write_error(f"no calls since {since} match; look further back with --since, or send a call through the sidecar")
    return 0


def _follow(client: Client, filters: Filters, lines: Lines) -> int:
    follow = Follow(filters)
    was_down = False
    with _ending() as is_asked_to_end:
        found = follow.first(client, datetime.now(UTC))
        while True:
            _show(lines, found)
            if is_asked_to_end():
                return 0
            if not found:
                time.sleep(_RETRY_S if was_down else _POLL_S)
            try:
                found = follow.poll(client, datetime.now(UTC))
            except StoreError as error:
                if not was_down:
                    _write_error(f"{error}; trying again")
                found, was_down = [], True
            else:
                if was_down:
                    _write_error("the record answers again")
                was_down = False


@contextmanager
def _ending() -> Iterator[Callable[[], bool]]:
    """Let Ctrl-C wait for the query that is running; a second one does not wait.

    Raised in the middle of a client's work it can leave a lock held, and the program would never exit.
    """
    came: list[int] = []
    before = signal.getsignal(signal.SIGINT)
    # A program started in the background may have been told to ignore it.
    if before is not signal.default_int_handler:
        yield lambda: False
        return

    def note(number: int, _: object) -> None:
        came.append(number)
        signal.signal(signal.SIGINT, before)

    signal.signal(signal.SIGINT, note)
    try:
        yield lambda: bool(came)
    finally:
        signal.signal(signal.SIGINT, before)


def _show(lines: Lines, rows: list[ReadCall]) -> None:
    for line in lines.of(rows):
        sys.stdout.write(line + "\n")
    sys.stdout.flush()


def _write_error(text: str) -> None:
    sys.stderr.write(text + "\n")


def _lines(form: str) -> Lines:
    if form == "json":
        return JsonLines()
    return CallTable(shutil.get_terminal_size((120, 24)).columns, is_coloured(sys.stdout))
