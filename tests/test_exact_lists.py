"""``sidecar exact build`` and what policies make of its lists: built from a file, found by policies, and refused when wrong."""

import stat
from pathlib import Path

import pytest

from sidecar import cli, exact_lists
from sidecar.detect import DETECTORS, Engine, walk
from sidecar.detect.custom import key_of
from sidecar.detect.custom.exact_list import HEADER_BYTES
from sidecar.errors import PolicyError
from sidecar.policy.load import PolicySet, check_policies, load_policies

ENGINE = Engine(DETECTORS[:1])
KEY = "correct horse battery staple"
CSV = """\ufeffid,name,email
1,"Hopper, Grace",grace@hopper.example
2,Bo,bo@example.org
3,,
4,"Ada
Lovelace",GRACE@hopper.example
"""
POLICY = """version: 1
policy: own
detectors:
  customers:
    exact: {file: lists/c.hmac, column: COLUMN, key: env:OUR_KEY}
rules:
  - id: own.customers
    title: A customer
    when: {detect: {any: [customers]}}
    action: alert
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "lists").mkdir()
    (tmp_path / "c.csv").write_text(CSV)
    (tmp_path / "own.yaml").write_text(POLICY.replace("COLUMN", "name"))
    monkeypatch.setenv("OUR_KEY", KEY)
    return tmp_path


def build(folder: Path, *more: str, column: str = "name", key: str = "env:OUR_KEY") -> int:
    output = str(folder / "lists/c.hmac")
    return cli.main(["exact", "build", "--column", column, "--key", key, "-o", output, str(folder / "c.csv"), *more])


def loaded(folder: Path) -> PolicySet:
    return load_policies(folder, ENGINE.kinds)


def values(policies: PolicySet, text: str) -> list[str]:
    return [span.value for span in ENGINE.scan(walk(text), policies.custom).spans]


def test_a_column_becomes_a_list_that_policies_find(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The values are found, the file is the user's alone and holds none of them, and what was left out is told."""
    assert build(folder) == 0
    said = capsys.readouterr().out
    assert "2 values of the column 'name', from 4 rows" in said and "left out: 1 values with fewer" in said
    file = folder / "lists/c.hmac"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert b"opper" not in file.read_bytes().lower() and KEY.encode() not in file.read_bytes()
    assert values(loaded(folder), "hopper grace; Ada Lovelace, Bo") == ["hopper grace", "Ada Lovelace"]
    assert [each.name for each in (folder / "lists").iterdir()] == ["c.hmac"]


def test_a_large_list_is_the_same_whether_sorted_at_once_or_in_parts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What fits in memory changes nothing in the file, and equal values stand in it once."""
    rows = [f"person number{number % 700}" for number in range(1000)]
    exact_lists.build(iter(rows), key_of(KEY), "name", tmp_path / "one")
    monkeypatch.setattr(exact_lists, "EXACT_SORTED_MAX", 64)
    header, counts = exact_lists.build(iter(rows), key_of(KEY), "name", tmp_path / "other")
    assert (tmp_path / "one").read_bytes() == (tmp_path / "other").read_bytes()
    assert (header.count, counts["rows"]) == (700, 1000)


def refused(folder: Path) -> str:
    with pytest.raises(PolicyError) as caught:
        loaded(folder)
    (problem,) = caught.value.problems
    return str(problem)


def test_what_is_wrong_with_a_list_is_told_with_its_remedy(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A missing, damaged or foreign list, another key or none: each is named with file, place and what to do."""
    place = f"{folder}/own.yaml:5:"
    file = folder / "lists/c.hmac"
    assert refused(folder).startswith(f"{place}19: error[no-list]: detectors.customers.exact.file: there is no file {file}")
    build(folder, column="email")
    assert "error[other-column]" in refused(folder) and "made from the column 'email', not 'name'" in refused(folder)
    build(folder)
    good = file.read_bytes()
    for bad, told in (
        (good[:-1], "it was cut or changed"),
        (good[:HEADER_BYTES] + b"\0" + good[HEADER_BYTES + 1 :], "it was cut or changed"),
        (good.replace(b'"version": 1', b'"version": 7'), "has version 7, this program reads 1; build it again"),
        (b"name\nGrace\n", "is not a list made by 'sidecar exact build'"),
    ):
        file.write_bytes(bad)
        assert "error[damaged-list]" in refused(folder) and told in refused(folder)
    file.write_bytes(good)
    monkeypatch.setenv("OUR_KEY", "another key of some length")
    assert refused(folder).startswith(f"{place}52: error[wrong-key]: ") and "env:OUR_KEY" in refused(folder)
    monkeypatch.setenv("OUR_KEY", "short")
    assert "error[weak-key]" in refused(folder)
    monkeypatch.delenv("OUR_KEY")
    assert "error[no-key]" in refused(folder) and "set the variable" in refused(folder)


def test_policies_are_checked_where_neither_list_nor_key_is(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """On a developer's machine a missing list or key is a warning; with a wrong list, a check fails there too."""
    monkeypatch.delenv("OUR_KEY")
    policies, problems = check_policies([folder / "own.yaml"], ENGINE.kinds)
    assert policies is not None and [each.code for each in problems if each.line] == ["no-list"]
    (folder / "lists/c.hmac").write_bytes(b"damaged")
    policies, _ = check_policies([folder / "own.yaml"], ENGINE.kinds)
    assert policies is None


def test_the_version_names_what_a_list_holds(folder: Path) -> None:
    """Which list judged a call can be told afterwards, as which text of the rules can."""
    build(folder)
    first = loaded(folder)
    assert loaded(folder).version == first.version
    with (folder / "c.csv").open("a") as opened:
        opened.write("5,Emmy Noether,x\n")
    build(folder)
    assert loaded(folder).version != first.version


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"column": "nme"}, "c.csv:1: error[column]: the first line has no column 'nme'; fix --column or --delimiter; did"),
        ({"key": KEY}, "--key: error[key]: give env:NAME or file:PATH"),
        ({"key": "env:NO_SUCH_KEY"}, "env:NO_SUCH_KEY: error[key]: there is no such variable"),
        ({"key": "env:HOME_OF_A_SHORT_KEY"}, "error[weak-key]: the key has fewer than 16 characters"),
    ],
)
def test_mistakes_on_the_command_line_are_told(
    folder: Path,
    change: dict[str, str],
    told: str,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A wrong name, a key on the command line or none: exit code 2, one line, and no list."""
    monkeypatch.setenv("HOME_OF_A_SHORT_KEY", "short")
    assert build(folder, **change) == 2
    said = capsys.readouterr().err
    assert told in said and KEY not in said
    assert not list((folder / "lists").iterdir())


def test_files_that_are_no_csv_are_told(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Another encoding, another separator and an empty column are named, and never a value."""
    (folder / "c.csv").write_bytes("name\nGrace\nM\u00fcller Hopper\n".encode("latin-1"))
    assert build(folder) == 2
    assert "is not UTF-8" in capsys.readouterr().err
    (folder / "c.csv").write_text("id;name\n1;Grace Hopper\n")
    assert build(folder) == 2
    assert build(folder, "--delimiter", ";") == 0
    (folder / "c.csv").write_text("name\nBo\n")
    capsys.readouterr()
    assert build(folder) == 2
    said = capsys.readouterr().err
    assert "error[no-values]" in said and "Bo" not in said


def test_a_list_is_built_from_standard_input(folder: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """What comes out of a database goes into a list without a file of it on disk."""
    rows = tmp_path / "rows"
    rows.write_text(CSV)
    with rows.open() as stream:
        monkeypatch.setattr("sys.stdin", stream)
        arguments = ["exact", "build", "--column", "name", "--key", "env:OUR_KEY", "-o", str(folder / "lists/c.hmac"), "-"]
        assert cli.main(arguments) == 0
    assert values(loaded(folder), "HOPPER GRACE") == ["HOPPER GRACE"]
