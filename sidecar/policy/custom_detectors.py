"""``detectors`` of policy files: each custom kind compile_pattern, or what is wrong with it, and its list read."""

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path as File
from typing import Final

import re2

from sidecar.detect.custom import (
    CustomKind,
    Damaged,
    ExactTable,
    RegexPrefilter,
    build_table,
    compile_pattern,
    key_id,
    key_of,
    normalise,
    parse_list,
    prepare_regex,
    prepare_words,
)
from sidecar.document import suggest
from sidecar.errors import Problem, SettingsError
from sidecar.events import Path
from sidecar.limits import CUSTOM_KINDS_MAX, EXACT_FILE_BYTES_MAX, EXACT_KEY_CHARS_MIN
from sidecar.policy import model
from sidecar.policy.build import Source
from sidecar.settings import resolve_secret

ABSENT: Final = frozenset({"no-list", "no-key"})
"""What may be missing where policies are only checked and tested: a list and its key are where the traffic is."""

_WITHIN: Final = 80
_CONFIDENCE: Final = 0.9
_CONFIDENCE_EXACT: Final = 0.99
_SIGNS: Final = re.compile(r"\\.|\(\?<?[=!]|\(\?>|[*+?}]\+", re.DOTALL)
_AROUND: Final = "RE2 has no look-around; match the surrounding text too, and name the value: (?P<value>...)"
_INSTEAD: Final[tuple[tuple[re.Pattern[str], str], ...]] = (
    (re.compile(r"\(\?<?[=!]"), _AROUND),
    (re.compile(r"\(\?>|.\+"), "RE2 does not backtrack, so this is not needed; remove the '+' or '(?>'"),
    (re.compile(r"\\[1-9gk]"), "RE2 has no backreferences; write the text out"),
    (re.compile(r"\\[AzZ]"), "a message has many texts; write ^ and $, the start and end of a line or field"),
    (re.compile(r"\\C"), "a single byte is not a character; write . or a class"),
    (re.compile(r"\\[uU]"), "RE2 writes a code point as \\x{20ac}"),
)
_NEVER: Final = re.compile(r"\\[AzC]")


def custom_kinds(source: Source, problems: list[Problem]) -> Iterator[CustomKind]:
    """The custom kinds of one file; what is wrong is added to ``problems``, and such a kind left out or left empty."""
    for name, each in source.file.detectors.items():
        path: Path = ("detectors", name)
        kind = _compile_kind(source, name, each, path, problems)
        if kind is not None:
            yield kind


def _compile_kind(
    source: Source, name: str, each: model.CustomDetectorSpec, path: Path, problems: list[Problem]
) -> CustomKind | None:
    near = prepare_words(each.near)[0] if each.near else ""
    pattern, table = "", None
    prefilters: tuple[RegexPrefilter, ...] = ()
    try:
        if near:
            compile_pattern(near)
        if each.keywords:
            pattern, prefilters = prepare_words(each.keywords)
            compile_pattern(pattern)
    except re2.error:
        message = "these words are too many or too long to compile together; split the detector, or use an 'exact' list"
        problems.append(source.document.problem((*path, "keywords" if each.keywords else "near"), "too-large", message))
        return None
    if each.regex is not None:
        here: Path = (*path, "regex")
        if message := _wrong_regex(each.regex):
            problems.append(source.document.problem(here, "bad-regex", f"{_dotted(here)}: {message}"))
            return None
        pattern, prefilters = prepare_regex(each.regex)
        if not prefilters:
            message = "this pattern cannot run in the shared pass over a message, so it runs alone: 10 to 50 µs for 10 KB"
            problems.append(source.document.problem(here, "slow-regex", f"{_dotted(here)}: {message}", is_warning=True))
    if each.exact is not None:
        table = _table(source, each.exact, (*path, "exact"), problems)
    confidence = each.confidence or (_CONFIDENCE if table is None else _CONFIDENCE_EXACT)
    is_word, within = each.keywords is not None, each.within or _WITHIN
    return CustomKind(name, confidence, pattern, prefilters, is_word, near, within, each.checksum or "", table)


def _wrong_regex(pattern: str) -> str:
    """What is wrong with it, at which character, and what to write instead; empty when it can be used."""
    try:
        made = compile_pattern(pattern)
    except re2.error as error:
        why = error.args[0].decode("utf-8", "replace") if isinstance(error.args[0], bytes) else str(error.args[0])
        return _advice(pattern, _INSTEAD) or _refused(pattern, why)
    if any(_NEVER.fullmatch(found[0]) for found in _SIGNS.finditer(pattern)):
        return _advice(pattern, _INSTEAD)
    empty = made.search(b"") or made.search(b"a b")
    if empty and empty.start() == empty.end():
        return "it also matches empty text; require at least one character, for example with + in place of *"
    return ""


def _advice(pattern: str, instead: Sequence[tuple[re.Pattern[str], str]]) -> str:
    for found in _SIGNS.finditer(pattern):
        for sign, message in instead:
            if sign.fullmatch(found[0]):
                return f"character {found.start() + 1}: '{found[0]}': {message}"
    return ""


def _refused(pattern: str, why: str) -> str:
    """RE2's own words, with the place where it is known."""
    what, _, part = why.partition(": ")
    at = pattern.find(part) if part else -1
    place = f"character {at + 1}: " if at >= 0 else ""
    if "too large" in why:
        return "it is too large for RE2; use fewer repetitions, such as {1,100}"
    return f"{place}RE2 says {what}{f' ({part[:40]})' if part else ''}; fix it, or write \\ before literal special characters"


def _dotted(path: Path) -> str:
    return ".".join(map(str, path))


def _table(source: Source, exact: model.ExactSpec, path: Path, problems: list[Problem]) -> ExactTable:
    """The list, or an empty one where something is wrong with it."""

    def wrong(field: str, code: str, message: str) -> ExactTable:
        problems.append(source.document.problem((*path, field), code, f"{_dotted((*path, field))}: {message}"))
        return build_table(())

    file = list_file(source, exact)
    try:
        with file.open("rb") as opened:
            content = opened.read(EXACT_FILE_BYTES_MAX + 1)
    except FileNotFoundError:
        return wrong("file", "no-list", f"there is no file {file}; make it with 'sidecar exact build', or fix the name")
    except OSError as error:
        return wrong("file", "unreadable", f"{file} cannot be read: {error.strerror or type(error).__name__}; fix that")
    if len(content) > EXACT_FILE_BYTES_MAX:
        return wrong("file", "too-large", f"{file} is over {EXACT_FILE_BYTES_MAX} bytes; split the CSV file into several lists")
    try:
        header, body = parse_list(content)
    except Damaged as error:
        return wrong("file", "damaged-list", f"{file} {error}")
    if header.column != exact.column:
        message = f"{file} was made from the column '{header.column[:60]}', not '{exact.column[:60]}'; fix one of the two"
        return wrong("column", "other-column", message)
    try:
        text = resolve_secret(exact.key)
    except (SettingsError, UnicodeDecodeError):
        message = f"{exact.key} gives no key; set the variable, or write the file, with the key that {file} was built with"
        return wrong("key", "no-key", message)
    if len(text.strip()) < EXACT_KEY_CHARS_MIN:
        return wrong("key", "weak-key", f"the key has fewer than {EXACT_KEY_CHARS_MIN} characters; use 'openssl rand -hex 32'")
    key = key_of(text)
    if key_id(key) != header.key:
        message = f"{file} was built with another key than {exact.key} holds now; set that key, or build the list again"
        return wrong("key", "wrong-key", message)
    return ExactTable(header, body, key)


def list_file(source: Source, exact: model.ExactSpec) -> File:
    """Where a list is: named from the folder of its policy file."""
    return File(source.document.file).parent / exact.file


def check_custom(sources: Sequence[Source], wanted: Collection[str]) -> Iterator[Problem]:
    """The problems of all files together: names used twice, kinds no rule uses, unknown lists in tests, too many kinds."""
    seen: dict[str, Source] = {}
    for source in sources:
        document = source.document
        for name in source.file.detectors:
            path: Path = ("detectors", name)
            if name in seen:
                other = seen[name].document
                line, _ = other.position(path, at_key=True)
                message = f"'{name}' is already defined at {other.file}:{line}; give one of the two another name"
                yield document.problem(path, "duplicate-detector", message, at_key=True)
                continue
            seen[name] = source
            if name not in wanted:
                message = f"no rule uses '{name}'; name it in a rule's 'when.detect', or remove it"
                yield document.problem(path, "unused-detector", message, at_key=True, is_warning=True)
            if len(seen) == CUSTOM_KINDS_MAX + 1:
                message = f"there are more than {CUSTOM_KINDS_MAX} custom kinds; join some, such as words of one 'keywords'"
                yield document.problem(path, "too-many", message, at_key=True)
    lists = [name for name, source in seen.items() if source.file.detectors[name].exact is not None]
    for source in sources:
        yield from _check_given(source, lists)


def _check_given(source: Source, lists: Sequence[str]) -> Iterator[Problem]:
    for index, case in enumerate(source.file.tests):
        for name, values in case.given.exact.items():
            path: Path = ("tests", index, "given", "exact", name)
            if name not in lists:
                message = f"'{name}' is not an 'exact' detector{suggest(name, lists)}"
                yield source.document.problem(path, "unknown-detector", message, at_key=True)
            for number, value in enumerate(values):
                if normalise(value) is None and "${" not in value:
                    message = "a list cannot hold this value: it has too few letters and digits, or too many words"
                    yield source.document.problem((*path, number), "no-value", message)


def declared_kinds(value: object) -> Mapping[str, str]:
    """The custom kinds that a file means to define, with their families, even where something else in it is wrong."""
    found = value.get("detectors") if isinstance(value, dict) else None
    if not isinstance(found, dict):
        return {}
    return {
        name: each["kind"] if isinstance(each, dict) and isinstance(each.get("kind"), str) else ""
        for name, each in found.items()
    }
