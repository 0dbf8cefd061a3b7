"""The public face of detection: names that other packages may use, and commands that start fast."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import sidecar.detect
from sidecar.detect import DETECTORS, IDS, KINDS, custom, injection, personal, secrets

FACE = Path(sidecar.detect.__file__)


def test_a_type_checker_sees_the_same_names_that_a_program_gets() -> None:
    """Every name of the face has the same home for the type checker as when it is imported lazily."""
    typed = {
        str(alias.asname): str(node.module)
        for block in ast.parse(FACE.read_text()).body
        if isinstance(block, ast.If)
        for node in block.body
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }
    assert sorted(typed) == dir(sidecar.detect)
    for name, module in typed.items():
        assert getattr(sidecar.detect, name) is getattr(sys.modules[module], name)


def test_an_unknown_name_is_said_to_be_unknown() -> None:
    """A misspelt import fails at once and names what is missing."""
    with pytest.raises(AttributeError, match="no attribute 'Engin'"):
        sidecar.detect.Engin  # type: ignore[attr-defined]  # noqa: B018


def imported_by(code: str) -> set[str]:
    """The modules that a fresh interpreter has imported after ``code``."""
    program = f"import sys\n{code}\nprint(*sys.modules)"
    return set(subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout.split())


@pytest.mark.parametrize(
    ("code", "forbidden"),
    [
        ("import sidecar.detect", {"hyperscan", "re2", "sidecar.detect.families"}),
        ("from sidecar.detect import walk", {"hyperscan", "re2", "sidecar.detect.families"}),
        ("from sidecar.detect import KINDS, DETECTORS", {"hyperscan", "phonenumbers", "sidecar.detect.engine"}),
        ("import sidecar.review.kind_pages", {"hyperscan", "phonenumbers", "sidecar.detect.engine"}),
        ("import sidecar.inventory", {"hyperscan", "re2", "sidecar.detect.families"}),
    ],
)
def test_commands_load_only_what_they_need(code: str, forbidden: set[str]) -> None:
    """Listing kinds, reading a message or the inventory loads no engine, so that commands answer at once."""
    assert imported_by(code) & forbidden == set()


def test_families_are_all_of_detection() -> None:
    """Every kind belongs to one family and is named for it."""
    by_family = {
        "secrets.": {each.kind for each in (*secrets.DETECTORS, *secrets.CONTEXTUAL)},
        "pii.": {each.kind for each in personal.DETECTORS},
        "injection.": {each.kind for each in injection.DETECTORS},
    }
    assert all(kind.startswith(prefix) for prefix, kinds in by_family.items() for kind in kinds)
    assert set().union(*by_family.values()) == {each.kind for each in DETECTORS} == KINDS - {"secrets.registered"}
    assert IDS.keys() <= by_family["pii."]
    assert not custom.NO_CUSTOM_KINDS.kinds
