import contextlib
import os
import socket
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import orjson
import pytest

from sidecar.errors import StoreError
from sidecar.record.rows import health_row
from sidecar.record.store import RowsRefused, open_store, reader
from sidecar.settings import Settings
from tests.ports import free_port
from tests.record.conftest import ROOT, Collector, Server, call_row, collecting, settings_in

PASSWORD = "SIDECAR_STORE_PASSWORD"


def refusal(settings: Settings, **environ: str) -> str:
    """What ``sidecar collect`` says when it cannot run: exit code 2, one line of ours, no traceback."""
    command = [sys.executable, "-m", "sidecar", "collect", "-c", settings.file]
    done = subprocess.run(
        command, cwd=ROOT, capture_output=True, text=True, timeout=60, env={**os.environ, **environ}, check=False
    )
    assert done.returncode == 2, done.stderr
    assert "Traceback" not in done.stderr
    return done.stderr.splitlines()[-1]


def at(folder: Path, port: int, user: str = "default", host: str = "127.0.0.1") -> Settings:
    """Settings whose store is ClickHouse there."""
    return settings_in(folder, store=f"clickhouse://{user}@{host}:{port}/sidecar")


def test_a_wrong_password(server: Server, tmp_path: Path) -> None:
    """A refused password is one sentence with the variable to set, and the password is not in it."""
    wrong = os.urandom(8).hex()
    for password in (wrong, ""):
        with pytest.raises(StoreError) as error:
            open_store(server.settings(tmp_path), {PASSWORD: password})
        text = str(error.value)
        assert "refuses the user 'default': the password is wrong, or there is no such user" in text
        assert "set SIDECAR_STORE_PASSWORD" in text
        assert wrong not in text


def test_a_wrong_password_at_the_command_line(embedded: Collector, tmp_path: Path) -> None:
    """``sidecar collect`` with the wrong password for a running endpoint ends with exit code 2 and that sentence."""
    wrong = os.urandom(8).hex()
    port = int(embedded.settings.reader.rpartition(":")[2])
    text = refusal(at(tmp_path, port, "sidecar"), **{PASSWORD: wrong})
    assert text.startswith(f"ClickHouse at 127.0.0.1:{port} refuses the user 'sidecar'")
    assert wrong not in text


def test_a_store_that_may_not_be_written(embedded: Collector, tmp_path: Path) -> None:
    """A server that lets us in but not create tables is said with its code."""
    port = int(embedded.settings.reader.rpartition(":")[2])
    token = (embedded.settings.data_path / "reader.token").read_text()
    with pytest.raises(StoreError, match=r"answers with error code 164 \(READONLY\); it says: "):
        open_store(at(tmp_path, port, "sidecar"), {PASSWORD: token})


def test_unreachable_stores(tmp_path: Path) -> None:
    """Nobody listening, an unknown name and something that is not ClickHouse are told apart, each with what to do."""
    with pytest.raises(StoreError, match=r"cannot be used: nothing listens there; start it, or fix 'store:'"):
        open_store(at(tmp_path, free_port()))
    with pytest.raises(StoreError, match=r"cannot be used: its host name is not known; start it"):
        open_store(at(tmp_path, 8123, host="no-such-host.invalid"))

    class Page(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers.get("Content-Length", 0)))
            self.send_response(200)
            self.send_header("Content-Length", "15")
            self.end_headers()
            self.wfile.write(b"<html>hi</html>")

        def log_message(self, *_: object) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Page) as page:
        thread = threading.Thread(target=page.serve_forever)
        thread.start()
        with pytest.raises(StoreError, match="its response is not from ClickHouse"):
            open_store(at(tmp_path, page.server_port))
        page.shutdown()
        thread.join()
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()

        def hang_up() -> None:
            with contextlib.suppress(OSError):
                while True:
                    silent.accept()[0].close()

        threading.Thread(target=hang_up, daemon=True).start()
        with pytest.raises(StoreError, match="it closed the connection"):
            open_store(at(tmp_path, silent.getsockname()[1]))


def test_a_failed_start_lets_go_of_the_folder(server: Server, tmp_path: Path) -> None:
    """After a refusal the data folder is free: the next start, mended, works in the same process."""
    with pytest.raises(StoreError):
        open_store(server.settings(tmp_path), {PASSWORD: "wrong"})
    open_store(server.settings(tmp_path), {PASSWORD: server.password}).close()


def test_two_collectors_on_one_folder(embedded: Collector) -> None:
    """A second collector on the same data folder is refused, by the first one's process number."""
    folder = Path(embedded.settings.file).parent
    for same in (embedded.settings, settings_in(folder, name="second.yaml")):
        assert refusal(same) == (
            f"another collector (process {embedded.process.pid}) uses the data folder {folder / 'data'}; "
            "stop it, or set 'data:' to another folder"
        )


def test_an_engine_that_is_open_elsewhere(tmp_path: Path) -> None:
    """A program that has the embedded store open, but is no collector, is told as what it is."""
    settings = settings_in(tmp_path)
    path = settings.data_path / "chdb"
    path.mkdir(parents=True)
    code = f"import chdb; engine = chdb.connect({str(path)!r}); print('open', flush=True); input()"
    pipe = subprocess.PIPE
    with subprocess.Popen([sys.executable, "-c", code], stdin=pipe, stdout=pipe, text=True) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == "open\n"
        text = refusal(settings)
        other.communicate("\n")
    assert text.startswith(f"the embedded store in {path} cannot be opened")
    assert "stop any other program that has it open" in text


def test_an_unusable_data_folder(tmp_path: Path) -> None:
    """A folder that cannot hold the embedded store is said, with what to change."""
    settings = settings_in(tmp_path, data=str(tmp_path / "odd{name}"))
    assert "it reads '{' in a path as a pattern; set 'data:' to a folder without it" in refusal(settings)
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "chdb").write_text("not a folder")
    assert f"the embedded store in {tmp_path / 'data' / 'chdb'} cannot be written" in refusal(settings_in(tmp_path))


def test_a_foreign_configuration_does_not_reach_the_engine(tmp_path: Path) -> None:
    """A ``config.xml`` in the working directory, which the engine would obey, changes nothing."""
    settings = settings_in(tmp_path)
    (tmp_path / "config.xml").write_text("<clickhouse><display_name>foreign</display_name><broken</clickhouse>")
    command = [sys.executable, "-c", "from sidecar.record.store import *; from sidecar.settings import load; "]
    command[-1] += f"open_store(load({settings.file!r}, {{}})).close(); print('opened')"
    done = subprocess.run(
        command,
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    assert (done.returncode, done.stdout) == (0, "opened\n"), done.stderr


def test_inserts_count_once_and_refusals_name_the_code(server: Server, tmp_path: Path) -> None:
    """The same rows under the same token are one insert; a row that does not fit is refused whole, with its code."""
    settings = server.settings(tmp_path)
    store = open_store(settings, {PASSWORD: server.password})
    rows = [orjson.dumps(health_row("node", "test", "m", value, "")) for value in range(4)]
    for part, token in ((rows[:2], "a"), (rows[:2], "a"), (rows[2:], "a"), (rows[2:], "b")):
        store.insert("health", part, token)
    with contextlib.closing(reader(settings, {PASSWORD: server.password})) as client:
        assert client.query("SELECT count() FROM health").result_rows == [(4,)]
        with pytest.raises(RowsRefused) as error:
            store.insert("health", [rows[0], b'{"no_such_column": "TOPSECRET"}'], "c")
        assert error.value.code == 117
        assert "TOPSECRET" not in str(error.value)
        assert client.query("SELECT count() FROM health").result_rows == [(4,)]
    store.close()


def test_keep_days_can_be_changed(server: Server, tmp_path: Path) -> None:
    """What ``keep_days`` says at a start is in force, also for tables that were made with another value."""
    settings = server.settings(tmp_path)
    for days in (90, 7):
        changed = settings.model_copy(update={"keep_days": days})
        open_store(changed, {PASSWORD: server.password}).close()
        with contextlib.closing(reader(changed, {PASSWORD: server.password})) as client:
            sql = "SELECT name, create_table_query FROM system.tables WHERE database = currentDatabase()"
            kept = {name: text for name, text in client.query(sql).result_rows if f"toIntervalDay({days})" in text}
            assert set(kept) == {"calls", "findings", "alerts", "health"}


def test_an_older_store_is_brought_up_to_date(server: Server, tmp_path: Path) -> None:
    """After an upgrade the tables of before take what is recorded now and keep their rows; a second start changes nothing."""
    settings = server.settings(tmp_path)
    environ = {PASSWORD: server.password}
    added = "mcp_session headers_us first_us decision_us result_type ended anomalies".split()
    open_store(settings, environ).close()
    with contextlib.closing(server.client()) as client:
        table = f"{settings.store_address.database}.calls"
        client.command(f"ALTER TABLE {table} {', '.join(f'DROP COLUMN {name}' for name in added)}")
        before = {**call_row(1), "server": "upgraded"}
        client.raw_insert(table, insert_block=orjson.dumps(before), fmt="JSONEachRow")
    open_store(settings, environ).close()
    store = open_store(settings, environ)
    now = {**call_row(2), "server": "upgraded", "anomalies": ["unknown-id"], "ended": "answer", "headers_us": 5}
    store.insert("calls", [orjson.dumps(now)], "now")
    with contextlib.closing(reader(settings, environ)) as client:
        sql = "SELECT call_id, ended, headers_us, anomalies FROM calls WHERE server = 'upgraded' ORDER BY call_id"
        rows = [(str(row[0]), *row[1:]) for row in client.query(sql).result_rows]
    store.close()
    assert rows == [(before["call_id"], "", 0, []), (now["call_id"], "answer", 5, ["unknown-id"])]


def test_the_embedded_engine_leaves_nothing_elsewhere(tmp_path: Path) -> None:
    """An insert's temporary file lies in the data folder, and what a killed collector left there is removed."""
    settings = settings_in(tmp_path)
    left = settings.data_path / "tmp" / "left.raw"
    left.parent.mkdir(parents=True)
    left.touch()
    before = set(Path("/tmp").glob("tmp*.raw"))
    with collecting(settings):
        assert not left.exists()
    assert set(Path("/tmp").glob("tmp*.raw")) <= before
    assert list(left.parent.iterdir()) == []
