"""Runs read queries on the embedded engine: checked, limited, and cancelled when the client has gone."""

import contextlib
import re
import secrets
import select
import socket
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from sidecar import limits
from sidecar.record.clickhouse_hello import hello, is_hello
from sidecar.record.query_settings import limit_session, refused_setting
from sidecar.record.readonly import QueryRefusal, ReadOnlyCheck, is_settings_question

_CODE: Final = re.compile(r"Code: (\d+)")
_NAME: Final = re.compile(r"\(([A-Z][A-Z0-9_]{3,})\)")
_WRAPPING: Final = re.compile(r"^(?:Code: \d+\. DB::\w+: )+|: In scope SELECT formatQuerySingleLine.*\Z", re.DOTALL)
_FORMAT: Final = re.compile(r"\bFORMAT\s+(\w+)\s*\Z")

_BUSY: Final = QueryRefusal(202, "TOO_MANY_SIMULTANEOUS_QUERIES", "too many queries are running; try again")


@dataclass(frozen=True, slots=True)
class QueryResult:
    """The result of a query: the bytes in the requested format, and what ClickHouse reports beside them."""

    body: bytes
    format: str
    rows_read: int
    bytes_read: int
    elapsed_ns: int


class QueryRefused(Exception):
    """The query was not run, or failed; ``refusal`` says why in ClickHouse's terms."""

    def __init__(self, refusal: QueryRefusal) -> None:
        self.refusal = refusal
        super().__init__(refusal.text)


class Queries:
    """Runs queries for many threads, each on its own handle. ``connect`` returns a new one."""

    def __init__(self, connect: Callable[[], Any], database: str) -> None:
        self._connect = connect
        self._database = database
        self._slots = threading.BoundedSemaphore(limits.READ_QUERIES_MAX)
        self._running: dict[str, socket.socket] = {}
        self._changed = threading.Condition()
        self._is_closing = threading.Event()
        with contextlib.closing(connect()) as handle:
            self._check = ReadOnlyCheck(handle)
            about = handle.query("SELECT version(), timezone()", "TSVRaw").bytes().decode()
        self._version, self.timezone = about.strip().split("\t")

    def run(self, sql: str, settings: Mapping[str, str], parameters: Mapping[str, str], client: socket.socket) -> QueryResult:
        """Run one query for the client at the other end of ``client``; ``parameters`` are those of ``{name:Type}``.

        Raises:
            QueryRefused: the query is not allowed, or failed.
        """
        if (unknown := refused_setting(settings)) is not None:
            raise QueryRefused(QueryRefusal(164, "READONLY", f"Cannot modify '{unknown}' setting in readonly mode"))
        if not self._slots.acquire(timeout=limits.READ_SECONDS_MAX):
            raise QueryRefused(_BUSY)
        mark = f"read-{secrets.token_hex(8)}"
        try:
            # One handle per query: after a failure the next result would begin with the rest of this one.
            with self._listed(mark, client), contextlib.closing(self._connect()) as handle:
                plain = self._check.judge(handle, sql, parameters)
                if isinstance(plain, QueryRefusal):
                    raise QueryRefused(plain)
                limit_session(handle, settings, self._database, is_readonly=not is_settings_question(plain))
                default_format = settings.get("default_format") or "TabSeparated"
                if is_hello(plain, settings):
                    return QueryResult(hello(self._version, self.timezone), "Native", 1, 0, 0)
                result = handle.query(f"/*{mark}*/ {sql}", default_format, params=dict(parameters))
                named = _FORMAT.search(plain)
                return QueryResult(
                    body=bytes(result.bytes() or b""),
                    format=named[1] if named else default_format,
                    rows_read=int(result.rows_read()),
                    bytes_read=int(result.bytes_read()),
                    elapsed_ns=int(result.elapsed() * 1e9),
                )
        except RuntimeError as error:
            raise QueryRefused(_refusal(str(error))) from None
        finally:
            self._slots.release()

    def cancel_abandoned(self) -> None:
        """Cancel queries whose client has gone, repeatedly until ``close``."""
        while not self._is_closing.wait(0.2):
            with self._changed:
                gone = [mark for mark, client in self._running.items() if _is_gone(client)]
            self._end(gone)

    def close(self, *, within_s: float) -> bool:
        """Start no more queries and cancel the running ones; whether all ended in time, with every handle closed."""
        with self._changed:
            self._is_closing.set()
        for _ in range(max(1, int(within_s / 0.2))):
            self._end(list(self._running))
            with self._changed:
                if self._changed.wait_for(lambda: not self._running, 0.2):
                    return True
        return False

    @contextlib.contextmanager
    def _listed(self, mark: str, client: socket.socket) -> Iterator[None]:
        """Register a query while it runs, so that it can be cancelled."""
        with self._changed:
            if self._is_closing.is_set():
                raise QueryRefused(_BUSY)
            self._running[mark] = client
        try:
            yield
        finally:
            with self._changed:
                del self._running[mark]
                self._changed.notify_all()

    def _end(self, replacements: list[str]) -> None:
        for mark in replacements:
            with contextlib.closing(self._connect()) as handle:
                handle.query(f"KILL QUERY WHERE startsWith(query, '/*{mark}*/') ASYNC")


def _is_gone(client: socket.socket) -> bool:
    """Whether the other end closed the connection; never waits."""
    try:
        # A socket with a timeout waits in recv, whatever the flags say: check first whether there is anything to read.
        look = select.poll()
        look.register(client, select.POLLIN)
        return bool(look.poll(0)) and client.recv(1, socket.MSG_PEEK) == b""
    except (OSError, ValueError):
        return True


def _refusal(text: str) -> QueryRefusal:
    """The engine's error as it is reported to a client: its code, its name, its message."""
    code, names = _CODE.search(text), _NAME.findall(text)
    name = names[-1] if names else "UNKNOWN_EXCEPTION"
    words = _WRAPPING.sub("", text).strip().removesuffix(f"({name})").rstrip(". ")
    return QueryRefusal(int(code[1]) if code else 1001, name, words[:4000])
