"""What may be asked of the read-only endpoint, and what may not: files, networks, programs, secrets, changes."""

import socket
from pathlib import Path

import pytest

from tests.record.conftest import Collector
from tests.record.test_serve import Wire, wire

__all__ = ["wire"]

HOSTILE = [
    "SELECT 1; SELECT 2",
    "SELECT 1; DROP TABLE calls",
    "SELECT 1 INTO OUTFILE '{leak}'",
    "SELECT 1 INTO OUTFILE '{leak}' TRUNCATE FORMAT CSV",
    "SELECT 1 /* */ INTO /**/ OUTFILE '{leak}' AND STDOUT",
    "SELECT file('{secret}')",
    "SELECT File('{secret}')",
    "SELECT/**/`file`/**/('{secret}')",
    "SELECT \"fi\\x6ce\"('{secret}')",
    "SELECT\nfile\n(\n'{secret}')",
    "SELECT arrayMap(file, ['{secret}'])",
    "SELECT arrayMap(x -> file(x), ['{secret}'])",
    "SELECT * APPLY(file) FROM (SELECT '{secret}' AS x)",
    "SELECT * APPLY(x -> file(x)) FROM (SELECT '{secret}' AS x)",
    "SELECT COLUMNS('x') APPLY file FROM (SELECT '{secret}' AS x)",
    "WITH file('{secret}') AS a SELECT a",
    "WITH (x -> file(x)) AS f SELECT f('{secret}')",
    "SELECT 'a\\'' , file('{secret}') -- '",
    "SELECT 'a'',' , file('{secret}') , '''",
    "SELECT 1 /* ' */ , file('{secret}') /* ' */",
    "SELECT $tag$ ' $tag$ , file('{secret}'), $$ ' $$",
    "SELECT 1 IN file('{secret}')",
    "EXPLAIN SELECT file('{secret}')",
    "EXPLAIN AST SELECT file('{secret}')",
    "DESCRIBE TABLE (SELECT file('{secret}'))",
    "DESCRIBE TABLE file('{secret}', 'CSVWithNames')",
    "DESCRIBE TABLE url('http://127.0.0.1:{port}/', 'CSV')",
    "DESCRIBE TABLE s3('http://127.0.0.1:{port}/bucket/x.csv')",
    "SELECT * FROM file('{secret}', 'LineAsString')",
    "SELECT * FROM '{secret}'",
    "SELECT * FROM `{secret}`",
    "SELECT * FROM default.`{secret}`",
    "EXISTS TABLE `{secret}`",
    "EXISTS TABLE default.`pyproject.toml`",
    "SHOW CREATE TABLE `{secret}`",
    "SELECT * FROM url('http://127.0.0.1:{port}/', 'CSV')",
    "SELECT * FROM s3('http://127.0.0.1:{port}/bucket/x.csv', 'CSV')",
    "SELECT * FROM remote('127.0.0.1:{port}', system.one)",
    "SELECT * FROM cluster('default', system.one)",
    "SELECT * FROM mysql('127.0.0.1:{port}', 'a', 'b', 'c', 'd')",
    "SELECT * FROM postgresql('127.0.0.1:{port}', 'a', 'b', 'c', 'd')",
    "SELECT * FROM sqlite('{secret}', 'a')",
    "SELECT * FROM executable('id', 'CSV', 'a String')",
    "SELECT * FROM Python(settings)",
    "SELECT * FROM merge('system', 'one')",
    "SELECT * FROM loop(system.one)",
    "SELECT * FROM dictionary('x')",
    "SELECT * FROM eval('SELECT 1')",
    "SELECT * FROM fuzzJSON('{}')",
    "SELECT * FROM input('a Int8')",
    "SET max_execution_time = 0",
    "SET readonly = 0",
    "SELECT 1 SETTINGS readonly = 0",
    "USE system",
    "KILL QUERY WHERE 1",
    "SYSTEM FLUSH LOGS",
    "SYSTEM SHUTDOWN",
    "SYSTEM START LISTEN HTTP",
    "INSERT INTO calls (tool) VALUES ('x')",
    "INSERT INTO calls (tool) SELECT 'x'",
    "INSERT INTO FUNCTION file('{leak}', 'CSV') SELECT 1",
    "CREATE TABLE t (a Int8) ENGINE = Memory",
    "CREATE TEMPORARY TABLE t (a Int8)",
    "CREATE FUNCTION f AS x -> x",
    "CREATE USER u",
    "ALTER TABLE calls DELETE WHERE 1",
    "DELETE FROM calls WHERE 1",
    "DROP TABLE calls",
    "TRUNCATE TABLE calls",
    "OPTIMIZE TABLE calls FINAL",
    "RENAME TABLE calls TO calls2",
    "DETACH TABLE calls",
    "ATTACH TABLE t FROM '{secret}' (a Int8) ENGINE = Memory",
    "BACKUP TABLE calls TO File('{leak}')",
    "RESTORE TABLE calls FROM File('{leak}')",
    "GRANT ALL ON *.* TO default",
    "EXECUTE AS default SELECT 1",
    "BEGIN TRANSACTION",
    "WATCH calls",
    "",
    "-- nothing",
    ";",
]


@pytest.mark.parametrize("sql", HOSTILE)
def test_hostile_sql_is_refused(wire: Wire, tmp_path: Path, sql: str) -> None:
    """No text reads a file, writes one, opens a connection, runs a program or changes anything; quoting does not help."""
    secret, leak = tmp_path / "secret.csv", tmp_path / "leak"
    secret.write_text("TOPSECRET,b\n1,2\n")
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        listener.setblocking(False)
        port = str(listener.getsockname()[1])
        text = sql.replace("{secret}", str(secret)).replace("{leak}", str(leak)).replace("{port}", port)
        status, body, _ = wire.ask(text)
        with pytest.raises(BlockingIOError):
            listener.accept()
    assert status != 200, body
    # The text itself may come back in an error; what the file holds may not.
    assert b"TOPSECRET" not in body
    assert not leak.exists()
    assert wire.ask("SELECT count() FROM calls")[1] == b"20\n"


def test_names_in_parameters_are_judged_too(wire: Wire, tmp_path: Path) -> None:
    """A function smuggled in as a parameter is refused; the same text as a value is only a value."""
    secret = tmp_path / "secret.csv"
    secret.write_text("TOPSECRET")
    for name in ("file", "`file`", "FILE"):
        status, body, _ = wire.ask(f"SELECT arrayMap({{f:Identifier}}, ['{secret}'])", param_f=name)
        assert (status == 200, b"TOPSECRET" in body) == (False, False)
    assert wire.ask("SELECT {f:String}", param_f="file")[1] == b"file\n"
    assert wire.ask("SELECT count() FROM {t:Identifier}", param_t="calls")[1] == b"20\n"


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT 'file(' AS x, 'url(' AS y, $$ file('x') $$ AS z",
        "SELECT 1 -- file('x')",
        "SELECT count() FROM calls WHERE request LIKE '%file(%' OR hasToken(request, 'file')",
        "SELECT format('{}', 1), formatDateTime(now(), '%Y'), path FROM findings",
        "SELECT quantilesTDigestMerge(0.5)(duration) FROM calls_1m",
        "WITH c AS (SELECT * FROM calls) SELECT count() FROM c UNION ALL SELECT count() FROM findings",
        "SHOW TABLES",
        "SHOW CREATE TABLE calls",
        "DESCRIBE TABLE calls",
        "EXISTS TABLE calls",
        "EXPLAIN indexes = 1 SELECT count() FROM calls",
        "SELECT name FROM system.columns WHERE table = 'calls'",
        "SELECT * FROM numbers(3)",
        "SELECT * FROM view(SELECT 1)",
        "SELECT * FROM values('a Int8', 1, 2)",
        "SELECT 1;",
        'SELECT `a-b`, "c d" FROM (SELECT 1 AS `a-b`, 2 AS `c d`)',
        "FROM calls SELECT tool LIMIT 1",
    ],
)
def test_honest_sql_runs(wire: Wire, sql: str) -> None:
    """What dashboards, the page and people ask is answered."""
    status, body, _ = wire.ask(sql)
    assert status == 200, body


def test_no_secret_of_ours_can_be_read(wire: Wire, embedded: Collector) -> None:
    """No system table holds the token, the key or anything of the environment."""
    key = (embedded.settings.data_path / "key").read_bytes().hex() if (embedded.settings.data_path / "key").exists() else ""
    needles = [needle for needle in (wire.token, key) if needle]
    for table in wire.ask("SELECT name FROM system.tables WHERE database = 'system'")[1].decode().split():
        if table in ("numbers", "numbers_mt", "zeros", "zeros_mt", "primes", "stack_trace", "symbols", "licenses"):
            continue
        _, body, _ = wire.ask(f"SELECT * FROM system.{table} LIMIT 5000")
        assert not [needle for needle in needles if needle.encode() in body], table
