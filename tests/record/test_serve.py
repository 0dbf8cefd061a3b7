"""The read-only endpoint as its clients meet it: clickhouse-connect, curl, and people who want more than they may."""

import base64
import contextlib
import gzip
import http.client
import io
import json
import os
import socket
import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest
from clickhouse_connect.driver.client import Client
from clickhouse_connect.driver.exceptions import DatabaseError

from sidecar import limits
from sidecar.errors import SettingsError, StoreError
from sidecar.record.serve import ReadServer
from sidecar.record.store import reader
from sidecar.settings import reader_token
from tests.ports import free_port
from tests.record.conftest import Collector, settings_in, until


@pytest.fixture
def client(embedded: Collector) -> Iterator[Client]:
    """The client everyone reads with."""
    with contextlib.closing(reader(embedded.settings)) as made:
        yield made


class Wire:
    """Plain HTTP to the endpoint."""

    def __init__(self, collector: Collector) -> None:
        self.port = int(collector.settings.reader.rpartition(":")[2])
        self.token = reader_token(collector.settings.data_path)

    def ask(self, sql: str | bytes, *, user: str = "sidecar", headers: Any = None, **given: str) -> tuple[int, bytes, Any]:
        """Status, body and headers of the answer to a query in the body."""
        basic = base64.b64encode(f"{user}:{self.token}".encode()).decode()
        sent = headers if headers is not None else {"Authorization": f"Basic {basic}"}
        with contextlib.closing(http.client.HTTPConnection("127.0.0.1", self.port, timeout=40)) as connection:
            connection.request("POST", f"/?{urlencode(given)}", sql, sent)
            response = connection.getresponse()
            return response.status, response.read(), response.headers


@pytest.fixture
def wire(embedded: Collector) -> Wire:
    """Plain HTTP to the endpoint."""
    return Wire(embedded)


def test_queries_and_parameters(client: Client) -> None:
    """Rows, names and types come back; parameters of every kind arrive as they were given."""
    result = client.query(
        "SELECT count() AS n, uniqExact(call_id) AS u FROM calls WHERE server = {server:String}", {"server": "crm"}
    )
    assert result.result_rows == [(20, 20)]
    assert result.column_names == ("n", "u")
    hard = "it's a \\ 'file(' \t\n é 日本 {x:String} -- /* "
    when = datetime(2026, 1, 2, 3, 4, 5, 6)
    sql = "SELECT {a:String}, {b:DateTime64(6, 'UTC')}, {c:Array(String)}, {d:Nullable(Int32)}"
    assert client.query(sql, {"a": hard, "b": when, "c": ["x", "y'"], "d": None}).result_rows == [
        (hard, when, ["x", "y'"], None)
    ]
    assert client.query("SELECT 1 WHERE 0").result_rows == []
    assert client.query("SELECT 1 AS a, 'x' AS b LIMIT 0").column_names == ("a", "b")
    assert client.command("SELECT count() FROM calls") == 20
    first = client.query("SELECT attrs, ts, call_id FROM calls ORDER BY call_id LIMIT 1").first_item
    assert first is not None and first["attrs"] == {"n": "1"}


def test_frames_streams_and_formats(client: Client) -> None:
    """pandas, Arrow, streams and any output format work as on a server."""
    pytest.importorskip("pandas")
    frame = client.query_df("SELECT tool, count() AS n FROM calls GROUP BY tool")
    assert frame.to_dict("records") == [{"tool": "lookup", "n": 20}]
    assert client.query_arrow("SELECT number FROM numbers(3)").num_rows == 3
    with client.query_rows_stream("SELECT number FROM numbers(200000)") as stream:
        assert sum(1 for _ in stream) == 200_000
    assert json.loads(client.raw_query("SELECT 1 AS a", fmt="JSON"))["data"] == [{"a": 1}]


def test_settings_are_those_of_a_reader(client: Client) -> None:
    """What only concerns the answer may be set, bounds may be lowered and not raised, everything else is refused."""
    one = {"max_threads": 1, "max_execution_time": 5, "max_result_rows": 10}
    assert len(client.query("SELECT number FROM numbers(5)", settings=one).result_rows) == 5
    with pytest.raises(DatabaseError) as error:
        client.query("SELECT number FROM numbers(500)", settings=one)
    assert error.value.code == 396
    with pytest.raises(DatabaseError) as error:
        client.query(f"SELECT number FROM numbers({limits.READ_ROWS_MAX + 1})", settings={"max_result_rows": 10**9})
    assert error.value.code == 396
    for name in ("allow_ddl", "user_files_path", "format_schema_path", "allow_introspection_functions"):
        with pytest.raises(DatabaseError) as error:
            client.query("SELECT 1", settings={name: 1})
        assert error.value.code in (115, 164)
    with pytest.raises(DatabaseError) as error:
        client.query("SELECT 1 SETTINGS max_execution_time = 0")
    assert error.value.code == 164


@pytest.mark.parametrize(
    ("sql", "code"),
    [
        ("SELECT nope", 47),
        ("SELECT * FROM nope", 60),
        ("SELECT * FROM nope.nope", 81),
        ("SELEC 1", 62),
        ("SELECT 1 +", 62),
        ("SELECT nope(1)", 46),
        ("SELECT throwIf(number = 3) FROM numbers(10)", 395),
        ("SELECT {missing:String}", 456),
        ("SELECT number FROM numbers(2000000)", 396),
        ("SELECT groupArray(number) FROM numbers(1000000000)", 241),
        ("SELECT 1 FORMAT Nope", 73),
    ],
)
def test_errors_have_their_code(client: Client, sql: str, code: int) -> None:
    """An error is the one a server would give, and the next query is not touched by it."""
    with pytest.raises(DatabaseError) as error:
        client.command(sql)
    assert error.value.code == code
    assert "In scope SELECT formatQuery" not in str(error.value)
    assert client.query("SELECT 1").result_rows == [(1,)]


def test_credentials(wire: Wire) -> None:
    """Only the token opens, as Basic or in ClickHouse's own headers; refusals do not tell what was wrong, nor the token."""
    own = {"X-ClickHouse-User": "sidecar", "X-ClickHouse-Key": wire.token}
    assert wire.ask("SELECT 1", headers=own)[:2] == (200, b"1\n")
    status, body, headers = wire.ask("SELECT 1", headers={})
    assert (status, headers["X-ClickHouse-Exception-Code"]) == (401, "194")
    assert headers["WWW-Authenticate"].startswith("Basic")
    wrong = [
        {"X-ClickHouse-User": "sidecar", "X-ClickHouse-Key": wire.token[:-1]},
        {"X-ClickHouse-User": "default", "X-ClickHouse-Key": wire.token},
        {"X-ClickHouse-User": "sidecar"},
        {"Authorization": "Basic !!!"},
        {"Authorization": "Basic " + base64.b64encode(b"sidecar").decode()},
        {"Authorization": f"Bearer {wire.token}"},
        {"X-ClickHouse-User": "sidecär", "X-ClickHouse-Key": "é"},
    ]
    for headers in wrong:
        status, body, _ = wire.ask("SELECT 1", headers={k: v.encode("latin-1") for k, v in headers.items()})
        assert status in (401, 403)
        assert wire.token.encode() not in body
    assert wire.ask("SELECT 1", headers={}, user="sidecar", password=wire.token)[0] == 401


def test_ping_and_addresses(wire: Wire) -> None:
    """``/ping`` answers anyone, as ClickHouse does; other paths are not found."""
    connection = http.client.HTTPConnection("127.0.0.1", wire.port, timeout=10)
    for path, status in (("/ping", 200), ("/", 200), ("/play", 401)):
        connection.request("GET", path)
        response = connection.getresponse()
        assert (response.status, response.read().startswith(b"Ok.") == (status == 200)) == (status, True)
    connection.request("GET", f"/?{urlencode({'query': 'SELECT 41 + 1'})}", headers=_basic(wire))
    assert connection.getresponse().read() == b"42\n"
    connection.request("GET", "/play", headers=_basic(wire))
    assert connection.getresponse().status == 400
    connection.close()


def _basic(wire: Wire) -> dict[str, str]:
    return {"Authorization": "Basic " + base64.b64encode(f"sidecar:{wire.token}".encode()).decode()}


def test_the_wire_in_detail(wire: Wire) -> None:
    """Query in address and body, formats, compression, forms and databases behave as ClickHouse's do."""
    assert wire.ask("", query="SELECT 1")[1] == b"1\n"
    assert wire.ask("1 AS a", query="SELECT")[1] == b"1\n"
    assert wire.ask("SELECT 1 AS a", default_format="JSONEachRow")[1] == b'{"a":1}\n'
    assert wire.ask("SELECT 1 AS a FORMAT CSVWithNames")[1] == b'"a"\n1\n'
    assert wire.ask("SELECT {x:UInt8}", param_x="7")[1] == b"7\n"
    for database in ("sidecar", "default", ""):
        assert wire.ask("SELECT count() FROM calls", database=database)[1] == b"20\n"
    assert wire.ask("SELECT 1", database="no`; --")[0] == 404
    _, packed, headers = wire.ask(
        "SELECT 1", headers={**_basic(wire), "Accept-Encoding": "gzip, zstd"}, enable_http_compression="1"
    )
    assert (headers["Content-Encoding"], gzip.decompress(packed)) == ("gzip", b"1\n")
    form = (
        b'--b\r\nContent-Disposition: form-data; name="query"\r\n\r\nSELECT {x:String}\r\n'
        b'--b\r\nContent-Disposition: form-data; name="param_x"\r\n\r\nseen\r\n--b--\r\n'
    )
    multipart = {**_basic(wire), "Content-Type": "multipart/form-data; boundary=b"}
    assert wire.ask(form, headers=multipart)[1] == b"seen\n"
    external = form.replace(b'name="param_x"', b'name="t"; filename="t"')
    assert wire.ask(external, headers=multipart)[0] == 501
    assert wire.ask("SELECT 1", compress="1")[0] == 501
    assert wire.ask("SELECT 1", headers={**_basic(wire), "Content-Encoding": "gzip"})[0] == 501
    assert wire.ask("SELECT '" + "x" * limits.READ_SQL_BYTES_MAX + "'")[0] == 413
    assert wire.ask("SELECT 1 -- " + "x" * 5 * limits.READ_SQL_BYTES_MAX)[0] == 413
    assert wire.ask(b"SELECT '\xff'")[0] == 400
    assert wire.ask("SELECT 1\0; SELECT 2")[0] == 400
    assert wire.ask("SELECT 1", default_format="../../x")[0] in (400, 500)


def test_grafanas_driver_is_greeted(wire: Wire) -> None:
    """clickhouse-go decodes the first answer as revision 54460 and the rest as it is told there: revision 0."""
    question = "SELECT displayName(), version(), revision(), timezone()"
    given = {"default_format": "Native", "client_protocol_version": "54460", "database": "default"}
    block = io.BytesIO(wire.ask(question, **given)[1])

    def text() -> str:
        return block.read(block.read(1)[0]).decode()

    assert block.read(8) == b"\x01\x00\x02\xff\xff\xff\xff\x00"
    assert (block.read(1), block.read(1)) == (b"\x04", b"\x01")
    columns = {}
    for _ in range(4):
        name, kind, flag = text(), text(), block.read(1)
        assert flag == b"\x00"
        columns[name] = text() if kind == "String" else int.from_bytes(block.read(4), "little")
    assert block.read() == b""
    assert columns["revision()"] == 0
    assert columns["timezone()"] == wire.ask("SELECT timezone()")[1].decode().strip()
    assert columns["version()"] == wire.ask("SELECT version()")[1].decode().strip()
    # Asked by anybody else it is a query like any other.
    assert wire.ask(question)[1].split(b"\t")[2] != b"0"


def test_a_query_ends_with_its_client(wire: Wire) -> None:
    """A client that goes away takes its query with it, so that a closed browser tab costs nothing."""
    sql = "SELECT count() FROM numbers(1000000000000) /* abandoned */"
    with socket.create_connection(("127.0.0.1", wire.port)) as connection:
        head = f"POST / HTTP/1.1\r\nHost: x\r\nAuthorization: {_basic(wire)['Authorization']}\r\n"
        connection.sendall(f"{head}Content-Length: {len(sql)}\r\n\r\n{sql}".encode())
        running = "SELECT count() FROM system.processes WHERE query LIKE '%aband%' AND query NOT LIKE '%processes%'"
        until(lambda: wire.ask(running)[1] == b"1\n", "the query to run")
    until(lambda: wire.ask(running)[1] == b"0\n", "the query to end", limits.READ_SECONDS_MAX / 2)


def test_an_idle_client_delays_nobody(wire: Wire) -> None:
    """A client that is connected and silent, or waits for a long answer, does not hold up another one."""
    slow = threading.Thread(target=wire.ask, args=("SELECT sleep(2)",))
    with socket.create_connection(("127.0.0.1", wire.port)):
        slow.start()
        for _ in range(5):
            assert wire.ask("SELECT 1")[0] == 200
        assert slow.is_alive()
        slow.join()


def test_many_clients_at_once(embedded: Collector) -> None:
    """More clients than query slots wait for each other and all get their answer."""
    wire = Wire(embedded)
    answers: list[int] = []

    def ask() -> None:
        answers.append(wire.ask("SELECT sleep(0.2)")[0])

    threads = [threading.Thread(target=ask) for _ in range(3 * limits.READ_QUERIES_MAX)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert answers == [200] * len(threads)


def test_an_idle_collector_is_idle(embedded: Collector) -> None:
    """With nothing to do it uses little of the processor, so that it can stand beside every server."""
    stat = Path(f"/proc/{embedded.process.pid}/stat")
    if not stat.exists():
        pytest.skip("only Linux tells a process's time under /proc")

    def used() -> int:
        fields = stat.read_text().rpartition(")")[2].split()
        return int(fields[11]) + int(fields[12])

    before = used()
    threading.Event().wait(1)
    assert (used() - before) / os.sysconf("SC_CLK_TCK") < 0.25


def test_a_taken_port_is_said(tmp_path: Path) -> None:
    """An occupied or impossible address is one sentence that says what to change."""
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        address = f"127.0.0.1:{other.getsockname()[1]}"
        with pytest.raises(SettingsError, match=rf"{address} is already in use; .* set 'reader:'"):
            ReadServer(address, "token")
    with pytest.raises(SettingsError, match=r"set 'reader:'"):
        ReadServer("192.0.2.1:8124", "token")


def test_reader_without_a_collector(tmp_path: Path) -> None:
    """With no collector there, the reader says so and how to start one; a foreign one is told apart."""
    with pytest.raises(StoreError, match=r"nothing listens there; start it with 'sidecar collect'"):
        reader(settings_in(tmp_path))


def test_reader_of_another_folder(embedded: Collector, tmp_path: Path) -> None:
    """Two installations on one port are told apart by their tokens."""
    settings = settings_in(tmp_path, reader=embedded.settings.reader)
    with pytest.raises(StoreError, match="uses another data folder"):
        reader(settings)


def test_times_are_utc(client: Client) -> None:
    """Times come back as they were written."""
    newest = client.query("SELECT max(ts) FROM calls", tz_mode="aware").result_rows[0][0]
    assert abs((datetime.now(UTC) - newest).total_seconds()) < 300


def test_it_closes_without_having_answered() -> None:
    """A collector that ends before its store is open leaves no port behind."""
    server = ReadServer(f"127.0.0.1:{free_port()}", "token")
    assert server.port > 0
    server.close()
    server.close()
