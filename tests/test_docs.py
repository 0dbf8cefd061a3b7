"""What README and docs tell people to write is tried: settings, policies, commands and links."""

import argparse
import re
import runpy
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import certifi
import pytest
import yaml

from sidecar import cli, settings
from sidecar.act.redact import redact_value
from sidecar.document import Document
from sidecar.policy import cases
from sidecar.policy.load import check_policies
from sidecar.wrap.options import Options, parse
from tests.compiled import engine

ROOT = Path(__file__).parents[1]
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")])

POLICY_KEYS = {"access", "detectors", "lists", "policy", "rules", "tests", "when"}
"""A block of YAML with one of these at its top is a policy or a part of one; the others are settings."""

ORDINARY = "  - {name: an ordinary call, call: {server: other, tool: get}, expect: {verdict: allow, rules: []}}\n"

_FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_LINK = re.compile(r"(?<!!)\[[^\]]*\]\(([^)\s]+)\)")
_HEADING = re.compile(r"^#+ +(.+)$", re.MULTILINE)
_INLINE = re.compile(r"`sidecar ([a-z]+)")


@dataclass(frozen=True)
class Block:
    """A fenced block of a page."""

    place: str
    language: str
    text: str


def blocks() -> Iterator[Block]:
    for page in PAGES:
        text = page.read_text("utf-8")
        for found in _FENCE.finditer(text):
            line = text.count("\n", 0, found.start()) + 1
            yield Block(f"{page.relative_to(ROOT)}:{line}", found[1], found[2])


def read_yaml(block: Block) -> dict[str, Any]:
    document = Document(block.place, block.text)
    assert not document.problems, document.problems
    assert isinstance(document.value, dict), block.place
    return document.value


def is_policy(block: Block) -> bool:
    return not POLICY_KEYS.isdisjoint(read_yaml(block))


def commands() -> Iterator[tuple[str, list[str]]]:
    """Each command line in a block for a shell, or one without a language, with its place."""
    for block in blocks():
        if block.language in ("", "sh"):
            for line in block.text.replace("\\\n", " ").splitlines():
                if block.language or re.match(r"sidecar [a-z]", line):
                    words = shlex.split(line, comments=True)
                    if words:
                        yield f"{block.place} {words[0]}", words


def named(items: Iterator[Any], name: Callable[[Any], str]) -> list[Any]:
    return [pytest.param(item, id=name(item)) for item in items]


YAML = [block for block in blocks() if block.language == "yaml"]


def settings_docs() -> dict[str, Any]:
    return runpy.run_path(str(ROOT / "scripts" / "settings_docs.py"))


def test_the_settings_page_is_that_of_the_settings() -> None:
    """Every setting is described as it is now; `make docs` writes the page anew."""
    assert (ROOT / "docs" / "settings.md").read_text("utf-8") == settings_docs()["page"](), "run `make docs`"


def test_every_setting_has_a_meaning_and_an_example() -> None:
    """No setting is left for people to guess."""
    made = settings_docs()
    sections = made["page"]().split("\n### ")[1:]
    assert len(sections) == len(list(made["examples"]())) > 25
    for section in sections:
        title, meaning, *_ = section.split("\n\n")
        assert meaning.endswith("."), f"{title} has no meaning"
        assert not re.search(r": $", section, re.MULTILINE), f"{title} has no example"


@pytest.mark.parametrize("block", named((each for each in YAML if not is_policy(each)), lambda block: block.place))
def test_settings_in_the_docs_are_taken(block: Block, tmp_path: Path) -> None:
    """Whoever copies an example of settings has one that starts."""
    if "transparent" in read_yaml(block) and sys.platform != "linux":
        pytest.skip("the transparent mode is for Linux")
    for file in re.findall(r"\bca: ([\w.-]+)", block.text):
        shutil.copy(certifi.where(), tmp_path / file)
    file = tmp_path / "sidecar.yaml"
    file.write_text(block.text)
    assert settings.load(file, {}).model_fields_set >= read_yaml(block).keys()


@pytest.mark.parametrize("block", named((each for each in YAML if is_policy(each)), lambda block: block.place))
def test_policies_in_the_docs_are_valid_and_pass_their_tests(block: Block, tmp_path: Path) -> None:
    """Whoever copies an example of a policy has one that `sidecar check` and `sidecar test` have nothing against."""
    text = block.text
    if "when" in read_yaml(block):
        text = "rules:\n  - id: example\n    title: An example\n    action: alert\n    " + text.replace("\n", "\n    ") + "\n"
    tests = read_yaml(block).get("tests", [])
    if "policy" not in read_yaml(block):
        # What is not tested may only be monitored, and what is enforced must let something pass.
        mode, more = ("enforce", ORDINARY) if tests else ("monitor", "")
        text = f"version: 1\npolicy: example\nowner: docs\ndescription: An example.\nmode: {mode}\n{text}{more}"
    (tmp_path / "example.yaml").write_text(text)
    ready = engine()
    policies, problems = check_policies([tmp_path], ready.kinds)
    assert policies is not None, "\n".join(map(str, problems))
    results = cases.run(policies, ready, redact_value)
    assert len(results) >= len(tests)
    assert not [result.differences for result in results if not result.has_passed]


@pytest.mark.parametrize("words", named((words for _, words in commands()), " ".join))
def test_commands_in_the_docs_exist(words: list[str]) -> None:
    """No command that people are told to type is unknown, and none lacks an option it is told to have."""
    if words[0] == "sidecar":
        parse_command(words[1:])
    elif words[0] == "make":
        targets = re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.MULTILINE)
        assert not [word for word in words[1:] if "=" not in word and word not in targets]
    elif words[0] == ".venv/bin/python":
        name = words[2].replace(".", "/") if words[1] == "-m" else words[1]
        ours = [ROOT / name, ROOT / f"{name}.py"]
        assert any(path.exists() for path in ours) or shutil.which(str(ROOT / ".venv" / "bin" / name))
    elif "/" in words[0]:
        assert (ROOT / words[0]).exists()
    else:
        assert words[0] in {"export", "git", "iptables", "openssl", "uv"}


def parse_command(words: list[str]) -> argparse.Namespace | Options:
    """What a command line of ours says, read by the program's own parser."""
    if words[0] == "wrap":
        return parse(words[1:])
    try:
        return cli._parser(words).parse_args(words)
    except SystemExit:
        pytest.fail(f"sidecar {' '.join(words)} is no command line of ours")


def test_commands_named_in_the_text_exist() -> None:
    """A command that the text speaks of is one of the program's."""
    known = set(cli._parser([])._subparsers._group_actions[0].choices)  # type: ignore[union-attr, arg-type]
    wrong = [f"{page.name}: {word}" for page in PAGES for word in _INLINE.findall(page.read_text()) if word not in known]
    assert not wrong


@pytest.mark.parametrize("name", ["check", "test"])
def test_the_first_policy_of_the_readme_is_run_as_it_says(name: str, tmp_path: Path) -> None:
    """README's settings, README's policy and README's two commands work together as a user types them."""
    ours = [block for block in YAML if block.place.startswith("README.md")]
    first = next(block for block in ours if not is_policy(block))
    (tmp_path / "sidecar.yaml").write_text(first.text)
    (tmp_path / "policies").mkdir()
    (tmp_path / "policies" / "mail.yaml").write_text(next(block for block in ours if is_policy(block)).text)
    command = [sys.executable, "-m", "sidecar", name, "-c", "sidecar.yaml"]
    done = subprocess.run(
        command, cwd=tmp_path, capture_output=True, text=True, timeout=120, env={"PYTHONPATH": str(ROOT), "HOME": str(tmp_path)}
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert ("0 errors" if name == "check" else "2 passed, 0 failed") in done.stdout


@pytest.mark.parametrize("page", named(iter(PAGES), lambda page: str(page.relative_to(ROOT))))
def test_links_lead_somewhere(page: Path) -> None:
    """Every link to a file of ours, or to a heading in one, has its target."""
    broken = []
    for target in _LINK.findall(page.read_text("utf-8")):
        path, _, anchor = target.partition("#")
        if "://" in target or target.startswith("mailto:"):
            continue
        file = (page.parent / path) if path else page
        if not file.exists() or (anchor and anchor not in headings(file)):
            broken.append(target)
    assert not broken


def headings(page: Path) -> set[str]:
    """The anchors of a page, made of its headings as GitHub makes them."""
    found = _HEADING.findall(_FENCE.sub("", page.read_text("utf-8")))
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in found}


def test_workflows_run_what_exists_and_nothing_that_can_change() -> None:
    """What a release runs is in this repository, or an action at one commit that nobody can move."""
    wrong = []
    for file in sorted((ROOT / ".github" / "workflows").glob("*.yml")):
        for job in yaml.load(file.read_text(), yaml.SafeLoader)["jobs"].values():  # noqa: TID251 - GitHub's dialect, not ours
            for step in job["steps"]:
                action, line = step.get("uses", ""), step.get("run", "")
                if action and not re.fullmatch(r"[\w.-]+/[\w.-]+@[0-9a-f]{40}", action):
                    wrong.append(f"{file.name}: {action}")
                targets = re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.MULTILINE)
                wrong += [f"{file.name}: make {name}" for name in re.findall(r"\bmake ([a-z]+)", line) if name not in targets]
                wrong += [f"{file.name}: {line}" for name in re.findall(r"^\.ci/\w+", line) if not (ROOT / name).exists()]
    assert not wrong
