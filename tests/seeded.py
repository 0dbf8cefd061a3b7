"""A record with given rows behind the real read-only endpoint, in a process of its own, as a collector would keep it.

``with open_record(folder, rows) as record:`` starts it; ``python -m tests.seeded`` is that process. It takes further
rows as lines of JSON on its input and ends when that ends.
"""

import contextlib
import json
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from clickhouse_connect.driver.client import Client

from sidecar.record.store import reader
from sidecar.settings import Settings, load
from tests.ports import free_port
from tests.seed import Row

ROOT = Path(__file__).parents[1]
TABLES = ("calls", "findings", "alerts", "policies", "health", "calls_1m")


@dataclass(frozen=True, slots=True)
class Record:
    """A running record: its settings, as the page and the terminal get them, and a client that reads it."""

    settings: Settings
    client: Client
    process: subprocess.Popen[str]

    def insert(self, rows: Mapping[str, list[Row]]) -> None:
        """Add rows, by table; they can be read when this returns."""
        self._ask(rows)

    def clear(self) -> None:
        """Take all rows out again."""
        self._ask("clear")

    def _ask(self, what: object) -> None:
        lines, answers = self.process.stdin, self.process.stdout
        assert lines is not None
        assert answers is not None
        lines.write(json.dumps(what) + "\n")
        lines.flush()
        assert answers.readline() == "done\n"


def write_settings(folder: Path, reader_port: int) -> Settings:
    """Settings with one server, a free page port and the record at ``reader_port``."""
    file = folder / "sidecar.yaml"
    file.write_text(
        "servers:\n  - {name: crm, listen: '127.0.0.1:9001', upstream: 'http://127.0.0.1:8001'}\n"
        f"data: {folder / 'data'}\nreader: 127.0.0.1:{reader_port}\npage: 127.0.0.1:{free_port()}\n"
    )
    return load(file, {})


@contextlib.contextmanager
def open_record(folder: Path, rows: Mapping[str, list[Row]]) -> Iterator[Record]:
    """Run a record over ``folder`` that holds ``rows``; it is gone afterwards, the folder stays."""
    command = [sys.executable, "-m", "tests.seeded", str(write_settings(folder, 1).file)]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, cwd=ROOT, stdin=pipe, stdout=pipe, text=True) as process:
        try:
            assert process.stdout is not None
            port = process.stdout.readline()
            assert port, "the record's process ended at once"
            settings = write_settings(folder, int(port))
            with contextlib.closing(reader(settings)) as client:
                record = Record(settings, client, process)
                record.insert(rows)
                yield record
        finally:
            assert process.stdin is not None
            process.stdin.close()
            process.wait(20)


def _serve(settings: Settings, lines: IO[str], answers: IO[str]) -> None:

    from sidecar.record.serve import ReadServer
    from sidecar.record.store import open_store
    from sidecar.settings import reader_token

    store = open_store(settings)
    server = ReadServer("127.0.0.1:0", reader_token(settings.data_path))
    server.start(store.handle, store.database)
    print(server.port, file=answers, flush=True)
    for number, line in enumerate(lines):
        asked: dict[str, list[Any]] | str = json.loads(line)
        if asked == "clear":
            with contextlib.closing(store.handle()) as handle:
                for table in TABLES:
                    handle.query(f"TRUNCATE TABLE {store.database}.{table}")
        elif isinstance(asked, dict):
            for table, rows in asked.items():
                store.insert(table, [json.dumps(row).encode() for row in rows], f"seed-{number}-{table}")
        print("done", file=answers, flush=True)
    server.close()
    store.close()


if __name__ == "__main__":
    _serve(load(sys.argv[1], {}), sys.stdin, sys.stdout)
