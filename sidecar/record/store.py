"""The store, to which rows are written and from which they are read: ClickHouse, embedded or a server.

The embedded engine (chDB) has one owner, the collector process, the only one to call ``open_store``. All others read
through ``reader``, the same client whether the collector's read-only endpoint or a ClickHouse server answers.
"""

import contextlib
import errno
import fcntl
import os
import re
import resource
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlencode

import clickhouse_connect
from clickhouse_connect.driver.client import Client
from clickhouse_connect.driver.exceptions import ClickHouseError

from sidecar import limits
from sidecar.addresses import StoreAddress
from sidecar.errors import StoreError
from sidecar.record import call_row
from sidecar.record.connect import (
    FAILURES,
    USER_CODES,
    connect,
    error_code,
    explained,
    first_line,
    network_reason,
    open_client,
)
from sidecar.settings import Settings, open_data, reader_token, store_password

READER_USER: Final = "sidecar"

_SCHEMA: Final = Path(__file__).with_name("schema.sql")
_KEPT_TABLES: Final = ("calls", "findings", "alerts", "health")
"""The tables whose rows are deleted after ``keep_days``."""

_INSERT_SETTINGS: Final = {
    "async_insert": 0,
    "insert_deduplicate": 1,
    "deduplicate_blocks_in_dependent_materialized_views": 1,
    "input_format_skip_unknown_fields": 0,
}
"""Sent with every insert, because the defaults differ by version and a retry must never insert rows twice."""

_ROW_CODES: Final = frozenset({6, 25, 26, 27, 33, 38, 41, 53, 69, 70, 72, 117, 130, 131, 321, 349, 376, 441, 467, 675, 691})
"""ClickHouse error codes about the rows themselves (not parsable, wrong type, unknown field): retries never succeed."""

_ENGINE_CONFIG: Final = "<clickhouse><logger><level>none</level></logger></clickhouse>\n"
_GLOB_CHARACTERS: Final = frozenset("*?{}[]")


class RowsRefused(StoreError):
    """A row of an insert is not valid for its table; nothing was inserted. ``code`` is ClickHouse's.

    ``details`` is the engine's own text, which quotes the row; the message does not.
    """

    def __init__(self, code: int, name: str, details: str) -> None:
        self.code = code
        self.details = details
        super().__init__(f"ClickHouse refuses a row: code {code} ({name})")


class Store:
    """An open store. Its methods may be called from one thread at a time; ``handle`` from any."""

    def __init__(self, client: Client, address: StoreAddress, lock: int, engine: str = "") -> None:
        self._client = client
        self._address = address
        self._lock = lock
        self._engine = engine

    @property
    def database(self) -> str:
        """The database that holds the tables of ``schema.sql``."""
        return self._address.database

    def insert(self, table: str, lines: list[bytes], token: str) -> None:
        """Insert rows, each a JSON object on one line. The same rows under the same ``token`` again change nothing.

        Raises:
            RowsRefused: at least one row can never be inserted; none was inserted.
            StoreError: the store did not answer, or could not do it now; a retry may succeed.
        """
        settings = {**_INSERT_SETTINGS, "insert_deduplication_token": token}
        try:
            done = self._client.raw_insert(table, insert_block=b"\n".join(lines), fmt="JSONEachRow", settings=settings)
        except FAILURES as error:
            code, name = error_code(error)
            if code in _ROW_CODES:
                raise RowsRefused(code, name, str(error)[:2000]) from None
            raise explained(error, self._address) from None
        if self._engine and int(done.summary.get("written_rows", 0)) != len(lines):
            raise StoreError(f"the embedded store did not accept all rows of {table}; they are sent again")

    def handle(self) -> Any:
        """A new chDB handle on the embedded engine, for reading in the caller's thread; the caller closes it.

        A handle on which a query failed must be closed: its next result would begin with the rest of the failed one.
        """
        import chdb

        # Two distributions install this package, with type annotations and without; which one wins is undefined.
        engine: Any = chdb
        return engine.connect(self._engine)

    def close(self) -> None:
        """Close the engine or the connection, then release the data folder. Close every ``handle`` first."""
        self._client.close()
        os.close(self._lock)


def open_store(settings: Settings, environ: Mapping[str, str] = os.environ) -> Store:
    """Open the store of the settings as the only collector of this data folder, and create missing tables.

    Call it before any thread is started: importing the embedded engine changes signal handlers and, for a moment, the
    working directory.

    Raises:
        StoreError: another collector uses the folder, or the store cannot be opened, reached or prepared.
        SettingsError: the data folder cannot be used, or a password file cannot be read.
    """
    data = open_data(settings)
    address = settings.store_address
    lock = sole_collector(data)
    try:
        if address.kind == "chdb":
            engine, client = _open_engine(data)
        else:
            engine, client = "", connect(address, store_password(environ))
        try:
            _prepare(client, address.database, settings.keep_days)
        except FAILURES as error:
            client.close()
            raise StoreError(f"{explained(error, address)}; it says: {first_line(error)}") from None
    except BaseException:
        os.close(lock)
        raise
    return Store(client, address, lock, engine)


def reader(settings: Settings, environ: Mapping[str, str] = os.environ) -> Client:
    """A client that reads the record: from the collector's endpoint when the store is embedded, else from the server.

    Clients are cheap and may be created for each use; close them. Threads may share one.

    Raises:
        StoreError: nothing answers there, or it refuses us.
        SettingsError: the data folder cannot be used, or a password file cannot be read.
    """
    address = settings.store_address
    if address.kind == "clickhouse":
        client = connect(address, store_password(environ))
        client.database = address.database
        return client
    host, _, port = settings.reader.rpartition(":")
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host.strip("[]"), host.strip("[]")) or "127.0.0.1"
    place = StoreAddress(kind="clickhouse", host=host, port=int(port), user=READER_USER, database=address.database)
    token = reader_token(open_data(settings))
    try:
        client = open_client(place, token)
    except FAILURES as error:
        if error_code(error)[0] in USER_CODES:
            text = f"the collector at {settings.reader} uses another data folder than {settings.data_path}"
            raise StoreError(f"{text}; set 'reader:' to another port in one of the two") from None
        why = f"the record cannot be read at {settings.reader}: {network_reason(error)}"
        raise StoreError(f"{why}; start it with 'sidecar collect' or 'sidecar up'") from None
    client.database = address.database
    return client


def sole_collector(data: Path) -> int:
    """The lock on the data folder, held until the descriptor is closed: two collectors would both ship every record.

    Raises:
        StoreError: another collector holds it.
    """
    file = data / "collect.lock"
    lock = os.open(file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        owner = os.pread(lock, 20, 0).decode("ascii", "replace").strip() or "unknown"
        os.close(lock)
        text = f"another collector (process {owner}) uses the data folder {data}"
        raise StoreError(f"{text}; stop it, or set 'data:' to another folder") from None
    os.ftruncate(lock, 0)
    os.pwrite(lock, str(os.getpid()).encode(), 0)
    return lock


def _open_engine(data: Path) -> tuple[str, Client]:
    """Open the embedded engine on ``data/chdb``; returns the connection string for further handles, and a client."""
    if wrong := sorted(_GLOB_CHARACTERS & set(str(data))):
        text = f"the embedded store cannot be in {data}: it reads {wrong[0]!r} in a path as a pattern"
        raise StoreError(f"{text}; set 'data:' to a folder without it")
    path, config, drafts = data / "chdb", data / "chdb.xml", data / "tmp"
    try:
        for folder in (path, drafts):
            folder.mkdir(mode=0o700, exist_ok=True)
        for left in drafts.iterdir():
            left.unlink()
        # Without our own file the engine would use a config.xml that it finds in the working directory.
        config.write_text(_ENGINE_CONFIG)
        if not os.access(path, os.R_OK | os.W_OK | os.X_OK):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
    except OSError as error:
        text = f"the embedded store in {path} cannot be written: {error.strerror}"
        raise StoreError(f"{text}; make the folder writable for this user") from None
    _raise_file_limit()
    # An insert uses a temporary file; a killed collector must not leave one where other users can read it.
    tempfile.tempdir = str(drafts)
    options = {"config-file": str(config)}
    engine = f"{path}?{urlencode(options)}"
    try:
        with contextlib.chdir(drafts):
            # The import opens an engine of its own, without our file, and would fail on a config.xml in the working directory.
            import chdb  # noqa: F401
        return engine, clickhouse_connect.get_client(interface="chdb", path=str(path), chdb_options=options)
    except (ClickHouseError, RuntimeError, ValueError, OSError) as error:
        text = f"the embedded store in {path} cannot be opened ({first_line(error)})"
        hint = "stop any other program that has it open; if none has, restore it from a backup or move the folder away"
        raise StoreError(f"{text}; {hint}") from None


def _raise_file_limit() -> None:
    """Raise the soft limit of open files: the engine opens many, and the usual soft limit is 1,024."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = limits.OPEN_FILES_MAX if hard == resource.RLIM_INFINITY else min(hard, limits.OPEN_FILES_MAX)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        with contextlib.suppress(ValueError, OSError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def _prepare(client: Client, database: str, keep_days: int) -> None:
    """Create what ``schema.sql`` describes and is missing, and let ``keep_days`` be what the settings say now."""
    filled = {
        "database": f"`{database}`",
        "keep_days": str(keep_days),
        "calls_columns": call_row.definitions(),
        "calls_additions": call_row.additions(),
    }
    text = re.sub(r"\{(\w+)\}", lambda found: filled[found[1]], _SCHEMA.read_text("utf-8"))
    for statement in re.split(r"^;\s*$", text, flags=re.MULTILINE):
        if re.sub(r"^\s*--.*$", "", statement, flags=re.MULTILINE).strip():
            client.command(statement.strip())
    client.database = database
    sql = "SELECT name, create_table_query FROM system.tables WHERE database = {database:String}"
    for table, definition in client.query(sql, parameters={"database": database}).result_rows:
        if table in _KEPT_TABLES and f"toIntervalDay({keep_days})" not in definition:
            client.command(f"ALTER TABLE {table} MODIFY TTL toDateTime(ts) + INTERVAL {int(keep_days)} DAY DELETE")
