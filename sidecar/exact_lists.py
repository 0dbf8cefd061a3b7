"""``sidecar exact build``: turns a column of a CSV file into a list of keyed hashes by which detectors find its values.

The file may have millions of rows: hashes are sorted in parts, and the parts merged.
"""

import argparse
import csv
import hashlib
import heapq
import os
import sys
import tempfile
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import IO, Final

from sidecar.detect.custom import key_id, key_of, normalise
from sidecar.detect.custom.exact_form import ValueForm
from sidecar.detect.custom.exact_list import DIGEST_BYTES, HEAD_BYTES, HEADER_BYTES, Header, digest, head_digest
from sidecar.document import suggest
from sidecar.errors import SettingsError, SidecarError
from sidecar.limits import CSV_FIELD_CHARS_MAX, EXACT_KEY_CHARS_MIN, EXACT_SORTED_MAX
from sidecar.settings import resolve_secret

_READ_BYTES: Final = 64 * 1024


class ListError(SidecarError):
    """A list cannot be built from the given input."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of ``sidecar exact build``."""
    parser.description = "Hash a column of a CSV file, so that policies find its values without storing them."
    parser.add_argument("--column", required=True, metavar="NAME", help="the column, by its name in the first line")
    parser.add_argument(
        "--key", required=True, metavar="env:NAME|file:PATH", help="where to read the key from; never the key itself"
    )
    parser.add_argument("--delimiter", default=",", metavar="CHAR", help="the character between columns (default: a comma)")
    parser.add_argument("-o", dest="output", required=True, type=Path, metavar="FILE", help="the list to write (mode 0600)")
    parser.add_argument(
        "csv", metavar="CSV", help="the CSV file, UTF-8 with column names in the first line; - for standard input"
    )


def run(args: argparse.Namespace) -> int:
    """Build one list and print what it contains.

    Raises:
        SidecarError: the key, the column or a file cannot be used.
    """
    key = _key(args.key)
    with _opened(args.csv) as stream:
        header, counts = build(_column(stream, args.csv, args.column, args.delimiter), key, args.column, args.output)
    sys.stdout.write(f"{args.output}: {header.count:,} values of the column '{args.column}', from {counts['rows']:,} rows\n")
    if left_out := counts["unfit"]:
        sys.stdout.write(
            f"left out: {left_out:,} values with fewer than 4 letters, codes and numbers with fewer than 6 letters and digits, "
            "and values of more than 16 words: they would match by chance\n"
        )
    return 0


def build(values: Iterable[str], key: bytes, column: str, output: Path) -> tuple[Header, Counter[str]]:
    """Write the list of ``values`` to ``output``, whole or not at all; returns its header and what was counted.

    Raises:
        ListError: no value can be used, or the file cannot be written.
    """
    counts: Counter[str] = Counter()
    words: set[int] = set()
    codes: set[int] = set()
    is_digits = True
    with ExitStack() as stack:
        try:
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix=".exact-", dir=output.parent)))
        except OSError as error:
            raise ListError(f"{output}: error[output]: cannot be written: {error.strerror}; name another with -o") from None
        values_sorted, heads_sorted = _Sorter(folder / "values", DIGEST_BYTES), _Sorter(folder / "heads", HEAD_BYTES)
        for made in _forms(values, counts):
            values_sorted.add(digest(key, made))
            if made.is_code:
                codes.add(len(made.text))
                is_digits = is_digits and made.text.isdecimal()
            else:
                words.add(made.words)
                heads_sorted.add(head_digest(key, made.head))
        made_file = folder / "list"
        hashed = hashlib.sha256()
        with os.fdopen(os.open(made_file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as opened:
            opened.write(b" " * HEADER_BYTES)
            count, heads = (_written(opened, hashed, sorter.entries()) for sorter in (values_sorted, heads_sorted))
            if not count:
                raise ListError(f"{output}: error[no-values]: the column '{column}' has no value that can be searched for")
            names = tuple(sorted(words)), tuple(sorted(codes))
            header = Header(column, count, heads, *names, is_digits, key_id(key), hashed.hexdigest())
            opened.seek(0)
            opened.write(header.dump())
            opened.flush()
            os.fsync(opened.fileno())
        made_file.replace(output)
    return header, counts


def _forms(values: Iterable[str], counts: Counter[str]) -> Iterator[ValueForm]:
    for value in values:
        counts["rows"] += 1
        if made := normalise(value):
            yield made
        elif value.strip():
            counts["unfit"] += 1


def _written(opened: IO[bytes], hashed: "hashlib._Hash", entries: Iterable[bytes]) -> int:
    count, last = 0, b""
    for entry in entries:
        if entry != last:
            opened.write(entry)
            hashed.update(entry)
            count, last = count + 1, entry
    return count


class _Sorter:
    """Sorts entries of one width; at most ``EXACT_SORTED_MAX`` are in memory, each once."""

    def __init__(self, file: Path, width: int) -> None:
        self._file = file
        self._width = width
        self._entries: set[bytes] = set()
        self._parts: list[Path] = []

    def add(self, entry: bytes) -> None:
        self._entries.add(entry)
        if len(self._entries) >= EXACT_SORTED_MAX:
            self._spill()

    def entries(self) -> Iterator[bytes]:
        """All entries in order; entries of different parts may be equal."""
        if not self._parts:
            return iter(sorted(self._entries))
        self._spill()
        return heapq.merge(*map(self._read, self._parts))

    def _spill(self) -> None:
        part = self._file.with_name(f"{self._file.name}-{len(self._parts)}")
        part.write_bytes(b"".join(sorted(self._entries)))
        self._parts.append(part)
        self._entries.clear()

    def _read(self, part: Path) -> Iterator[bytes]:
        with part.open("rb") as opened:
            while chunk := opened.read(self._width * _READ_BYTES):
                yield from (chunk[at : at + self._width] for at in range(0, len(chunk), self._width))


def _key(reference: str) -> bytes:
    if reference.partition(":")[0] not in ("env", "file"):
        raise ListError("--key: error[key]: give env:NAME or file:PATH; other users can see a key on the command line")
    try:
        text = resolve_secret(reference).strip()
    except (SettingsError, UnicodeDecodeError):
        said = "there is no such variable or text file; set it, or name another with --key"
        raise ListError(f"{reference}: error[key]: {said}") from None
    if len(text) < EXACT_KEY_CHARS_MIN:
        raise ListError(
            f"{reference}: error[weak-key]: the key has fewer than {EXACT_KEY_CHARS_MIN} characters; "
            "make one with 'openssl rand -hex 32'"
        )
    return key_of(text)


def _opened(name: str) -> IO[str]:
    try:
        if name == "-":
            return open(sys.stdin.fileno(), encoding="utf-8-sig", newline="", closefd=False)
        return open(name, encoding="utf-8-sig", newline="")
    except OSError as error:
        raise ListError(f"{name}: error[csv]: cannot be read: {error.strerror}; fix the file name") from None


def _column(stream: IO[str], name: str, column: str, delimiter: str) -> Iterator[str]:
    """The cells of one column. No error message quotes a cell."""
    csv.field_size_limit(CSV_FIELD_CHARS_MAX)
    try:
        rows = csv.reader(stream, delimiter="\t" if delimiter in ("\\t", "tab") else delimiter)
    except TypeError:
        raise ListError(
            f"--delimiter: error[csv]: {delimiter[:10]!r} is not one character; write one, such as ';', or tab"
        ) from None
    try:
        names = next(rows, [])
        if names.count(column) != 1:
            what = "several columns" if column in names else "no column"
            said = f"the first line has {what} '{column}'; fix --column or --delimiter{suggest(column, names)}"
            raise ListError(f"{name}:1: error[column]: {said}")
        index = names.index(column)
        yield from (row[index] for row in rows if len(row) > index)
    except csv.Error as error:
        raise ListError(f"{name}:{rows.line_num}: error[csv]: {error}; fix the file or --delimiter") from None
    except UnicodeDecodeError:
        raise ListError(f"{name}:{rows.line_num + 1}: error[csv]: this is not UTF-8; save the file as UTF-8") from None
