"""docs/architecture.md, held: what it names exists."""

import ast
import re
from pathlib import Path

ROOT = Path(__file__).parents[1]
TEXT = (ROOT / "docs" / "architecture.md").read_text()
NAMED = re.findall(r"`([a-z_/]+(?:\.py)?/?)(?::([A-Za-z_.]+))?`", TEXT)


def found(name: str) -> Path | None:
    """A file or folder by its path from the root, or within the package."""
    return next((path for base in (ROOT / "sidecar", ROOT) if (path := base / name).exists()), None)


def defined_in(file: Path) -> set[str]:
    """The names a module defines, and ``Class.method`` for what its classes define."""
    names = set()
    for node in ast.parse(file.read_text()).body:
        if isinstance(node, ast.ClassDef):
            names |= {f"{node.name}.{each.name}" for each in node.body if isinstance(each, ast.FunctionDef)}
        targets = [node] if isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef) else []
        names |= {each.name for each in targets}
        if isinstance(node, ast.Assign | ast.AnnAssign):
            all_targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            names |= {each.id for each in all_targets if isinstance(each, ast.Name)}
    return names


def test_every_file_and_folder_exists() -> None:
    """A newcomer who follows the page never looks for a file that has moved."""
    paths = [name for name, _ in NAMED if "/" in name or name.endswith(".py")]
    assert len(paths) > 60
    assert not [name for name in paths if found(name) is None]


def test_every_name_is_defined_where_it_says() -> None:
    """Functions, classes and methods stand in the files that are named for them."""
    named = [(name, symbol) for name, symbol in NAMED if symbol]
    assert len(named) > 40
    missing = []
    for name, symbol in named:
        file = found(name)
        if file is None or symbol not in defined_in(file):
            missing.append(f"{name}:{symbol}")
    assert not missing


def test_every_package_is_on_the_page() -> None:
    """A new package is explained before it is merged."""
    packages = [path.parent.name for path in (ROOT / "sidecar").glob("*/__init__.py") if path.parent.name != "shipped"]
    assert not [name for name in packages if f"`{name}/`" not in TEXT]


def test_every_link_leads_somewhere() -> None:
    """Links of the page are to files that are there."""
    links = re.findall(r"\]\((?!http)([^)#]+)", TEXT)
    assert not [link for link in links if not (ROOT / "docs" / link).resolve().exists()]
