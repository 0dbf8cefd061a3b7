"""The house plan, held: which package may import which, and how large a file may grow."""

import ast
from collections import Counter
from pathlib import Path

import pytest

from tests.conftest import MARKED_PATHS

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "sidecar"

ORDER = [
    ["__main__"],
    ["cli"],
    ["up", "collect", "init"],
    ["proxy"],
    ["transports"],
    ["exchange"],
    ["sessions"],
    ["state"],
    ["judging"],
    ["notify"],
    ["review", "grafana", "install"],
    ["record"],
    ["act", "exact_lists"],
    ["policy"],
    ["inventory"],
    ["detect"],
    ["decode"],
    ["secret_values"],
    ["ports"],
    ["settings"],
    ["document"],
    ["wrap"],
    ["refusal_messages"],
    ["addresses", "events", "methods", "outcomes", "limits", "errors", "logs"],
]
"""Left to right: each may import those after it, and its own."""

INSIDE = {
    "transports": [
        ["mitm", "stdio"],
        ["plain"],
        ["http_policy"],
        ["connection_rules", "origin_check", "idle_probe"],
        ["routing"],
    ],
    "exchange": [
        ["pipeline"],
        ["requests", "responses"],
        ["completion", "server_messages", "notices"],
        ["services"],
        ["replies", "lists", "mirrored_headers", "oauth"],
    ],
    "sessions": [["catalogue"], ["open_streams"], ["continuations"], ["correlation", "identity"]],
    "state": [["exchange"], ["call"]],
}
"""The same inside the packages a message goes through."""

FACES = {"sidecar.detect": {"sidecar.detect.custom"}, "sidecar.inventory": set[str]()}
"""Packages with a public face (their ``__init__``), and the modules of each that others may also import from."""

PAST_THE_FACE = {
    # It writes the file of a list.
    "sidecar/exact_lists.py": {"sidecar.detect.custom.exact_form", "sidecar.detect.custom.exact_list"},
    # Made-up documents need their check digit.
    "sidecar/policy/fakes_personal.py": {"sidecar.detect.personal"},
    # Names of credentials, without the engine, which takes long to load.
    "sidecar/install/secret_looks.py": {"sidecar.detect.secrets.credential_context"},
}

PURE = ("decode", "policy", "inventory", "detect", "act")
NO_IO = {"socket", "asyncio", "threading", "subprocess", "time", "random", "os", "urllib3", "logging"}
MAY_USE = {
    "sidecar/policy/load.py": {"os"},  # the one place of policy that reads files
    "sidecar/policy/fakes.py": {"random"},  # made-up values for the tests inside policies, from a fixed seed
    "sidecar/policy/fakes_personal.py": {"random"},  # the same, for personal data
    "sidecar/detect/databases.py": {"threading"},
    "sidecar/detect/scanner.py": {"threading"},  # a scratch space per thread, which the library demands
}


def rank(name: str) -> int:
    return next(index for index, names in enumerate(ORDER) if name in names)


def top_of(file: Path) -> str:
    first = file.relative_to(PACKAGE).parts[0]
    return first.removesuffix(".py")


def imports_of(file: Path) -> set[str]:
    found: set[str] = set()
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.ImportFrom) and node.module:
            found.add(node.module)
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
        elif isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
    return found


def modules() -> list[Path]:
    return [file for file in sorted(PACKAGE.rglob("*.py")) if file != PACKAGE / "__init__.py" and "shipped" not in file.parts]


def test_imports_run_one_way() -> None:
    """A reader follows a call from left to right and never meets an arrow that points back."""
    wrong = []
    for file in modules():
        own = top_of(file)
        for name in imports_of(file):
            parts = name.split(".")
            if parts[0] != "sidecar" or len(parts) < 2 or not (PACKAGE / parts[1]).with_suffix("").name:
                continue
            known = {each for names in ORDER for each in names}
            if parts[1] in known and parts[1] != own and rank(parts[1]) <= rank(own):
                wrong.append(f"{file.relative_to(ROOT)} imports {name}")
    assert not sorted(set(wrong))


@pytest.mark.parametrize("package", INSIDE)
def test_imports_run_one_way_inside_a_package(package: str) -> None:
    """What a package is made of has an order too."""
    order = {name: index for index, names in enumerate(INSIDE[package]) for name in names}
    wrong = []
    for file in modules():
        parts = file.relative_to(PACKAGE).with_suffix("").parts
        if parts[0] != package or parts[1] == "__init__":
            continue
        for name in imports_of(file):
            other = name.split(".")[2:3]
            if name.startswith(f"sidecar.{package}.") and other[0] != parts[1] and order[other[0]] <= order[parts[1]]:
                wrong.append(f"{file.relative_to(ROOT)} imports {name}")
    assert not wrong


def test_no_two_modules_import_each_other() -> None:
    """There is no circle of any length, also none through imports inside functions; faces only pass names on."""
    names = {}
    for file in modules():
        if file.name != "__init__.py":
            names[".".join(("sidecar", *file.relative_to(PACKAGE).with_suffix("").parts))] = file
    imports = {name: {each for each in imports_of(file) if each in names and each != name} for name, file in names.items()}
    while leaves := [name for name, others in imports.items() if not others & imports.keys()]:
        for name in leaves:
            del imports[name]
    assert not {name: sorted(others & imports.keys()) for name, others in imports.items()}


def test_packages_are_used_through_their_face() -> None:
    """Files inside detect and inventory can be moved without touching whoever uses them."""
    wrong = []
    for file in modules():
        name = str(file.relative_to(ROOT))
        for node in ast.walk(ast.parse(file.read_text())):
            module = node.module if isinstance(node, ast.ImportFrom) else None
            for face, named in FACES.items():
                is_outside = module is not None and module.startswith(f"{face}.") and top_of(file) != face.split(".")[1]
                if is_outside and module not in named | PAST_THE_FACE.get(name, set()):
                    wrong.append(f"{name} imports {module}")
    assert not wrong


def test_no_class_name_stands_twice() -> None:
    """Who searches for a class finds one."""
    counts = Counter(
        node.name for file in modules() for node in ast.walk(ast.parse(file.read_text())) if isinstance(node, ast.ClassDef)
    )
    assert not [name for name, count in counts.items() if count > 1]


def test_no_file_name_stands_twice() -> None:
    """Who opens a file by its name opens the right one; but for the commands of ``install`` and ``wrap``."""
    counts = Counter(file.name for file in modules() if file.name != "__init__.py")
    assert {name for name, count in counts.items() if count > 1} <= {"command.py"}


def test_every_package_has_its_place() -> None:
    """A new package says where it stands in the plan."""
    known = {each for names in ORDER for each in names}
    assert {top_of(file) for file in modules()} <= known


def test_the_middle_is_pure() -> None:
    """Decoding, policies, detectors and actions know no clock and touch nothing outside."""
    wrong = []
    for file in modules():
        if top_of(file) in PURE:
            used = {name.split(".")[0] for name in imports_of(file)} & NO_IO
            if used - MAY_USE.get(str(file.relative_to(ROOT)), set()):
                wrong.append(f"{file.relative_to(ROOT)}: {sorted(used)}")
            wrong += [
                f"{file.relative_to(ROOT)} reads a clock"
                for call in (".now(", ".today(", ".utcnow(")
                if call in file.read_text()
            ]
    assert not wrong


def test_files_stay_small() -> None:
    """A file past 400 lines holds two ideas; but for the bounds, which are a list."""
    large = {str(file.relative_to(ROOT)): count for file in modules() if (count := len(file.read_text().splitlines())) > 400}
    assert large.keys() <= {"sidecar/limits.py"}


def test_every_test_says_what_a_user_gets() -> None:
    """A test without its sentence cannot be judged by whoever reads it."""
    silent = []
    for file in sorted((ROOT / "tests").rglob("test_*.py")):
        for node in ast.parse(file.read_text()).body:
            if isinstance(node, ast.FunctionDef) and node.name.startswith("test_") and not ast.get_docstring(node):
                silent.append(f"{file.relative_to(ROOT)}: {node.name}")
    assert not silent


def test_every_module_says_what_it_is_for() -> None:
    """The first line of each file is its purpose."""
    assert not [str(file.relative_to(ROOT)) for file in modules() if not ast.get_docstring(ast.parse(file.read_text()))]


def test_marks_name_tests_that_exist() -> None:
    """A test that moved does not slip into `make quick` unseen."""
    wrong = []
    for start in [start for starts in MARKED_PATHS.values() for start in starts]:
        place, _, name = start.partition("::")
        file = ROOT / "tests" / place
        if not file.exists() or (name and f"def {name}" not in file.read_text()):
            wrong.append(start)
    assert not wrong
