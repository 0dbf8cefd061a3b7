"""Everybody can read what a kind is, how sure it is, and how to ask for it."""

import pytest

from sidecar.cli import main
from sidecar.detect import DETECTORS


def test_every_kind_has_a_page_that_says_what_is_found_and_how_sure(capsys: pytest.CaptureFixture[str]) -> None:
    """The pages of both families name every kind, all that its detectors say of themselves, and a rule that asks for it."""
    for family in ("secrets", "pii", "injection"):
        assert main(["kinds", family]) == 0
    said = capsys.readouterr().out
    for each in DETECTORS:
        assert f"\n{each.kind}\n" in f"\n{said}"
        assert f"{each.about} (confidence up to {each.confidence:g})" in said
        assert f"any: [{each.kind}]" in said


def test_the_list_has_one_line_for_each_kind(capsys: pytest.CaptureFixture[str]) -> None:
    """Without a name all kinds are listed, registered secrets too."""
    assert main(["kinds"]) == 0
    listed = [line.split()[0] for line in capsys.readouterr().out.splitlines()]
    assert listed == sorted({each.kind for each in DETECTORS} | {"secrets.registered"})


def test_a_pattern_names_several_and_an_unknown_name_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    """``secrets.github-*`` prints its pages; a kind that is none ends with 2 and says where to look."""
    assert main(["kinds", "secrets.github-*"]) == 0
    assert capsys.readouterr().out.startswith("secrets.github-")
    assert main(["kinds", "secrets.nothing"]) == 2
    assert "'sidecar kinds' lists them all" in capsys.readouterr().err
