"""Policy files from folders to one immutable set: read strictly, checked whole, every mistake named with its place."""

import hashlib
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Final

from pydantic import ValidationError

from sidecar.addresses import STARTER
from sidecar.detect.custom import CustomKind, CustomKinds
from sidecar.document import Document, model_problems
from sidecar.errors import PolicyError, Problem
from sidecar.limits import POLICY_FILE_BYTES_MAX, POLICY_FILES_MAX
from sidecar.policy.build import Built, Source, build
from sidecar.policy.check import check_file, check_together
from sidecar.policy.conditions import CONDITIONS
from sidecar.policy.conditions.protocol import Conditions
from sidecar.policy.custom_detectors import ABSENT, check_custom, custom_kinds, declared_kinds, list_file
from sidecar.policy.model import FORMAT_VERSION, ExactSpec, file_model
from sidecar.policy.policy_set import PolicySet
from sidecar.policy.unsupported import strip_unsupported
from sidecar.settings import shipped

__all__ = ["Folders", "PolicySet", "as_paths", "check_policies", "load_policies", "load_texts", "starter_is_off"]

_SUFFIXES: Final = frozenset({".yaml", ".yml"})

type Folders = Path | Sequence[Path]
"""One folder, or several whose policies judge together."""


def as_paths(folders: Folders) -> tuple[Path, ...]:
    """The folders, each once, in their order."""
    return (folders,) if isinstance(folders, Path) else tuple(dict.fromkeys(folders))


def starter_is_off(policies: PolicySet) -> bool:
    """Whether ``policies`` hold none of the policies that come with the program, nor a copy of one under its own name."""
    return not _names(text for _, text in policies.files) & _names(text for _, _, text in _texts_in(shipped("policies"))[0])


def _names(texts: Iterable[str]) -> set[str]:
    values = [Document("", text).value for text in texts]
    return {str(value.get("policy")) for value in values if isinstance(value, dict)}


def _labels(paths: Sequence[Path]) -> list[str]:
    """What the names of a folder's files begin with, so that no two files of a set have one name; nothing for one folder."""
    if len(paths) == 1:
        return [""]
    labels: list[str] = []
    for path in paths:
        label = f"{STARTER if path == shipped('policies') else path.name}/"
        labels.append(label if label not in labels else f"{len(labels) + 1}-{label}")
    return labels


def load_policies(folders: Folders, kinds: Collection[str], servers: Collection[str] = ()) -> PolicySet:
    """The policies of ``folders`` as one set: every ``*.yaml`` and ``*.yml`` in them, not in folders below, not hidden ones.

    ``kinds`` are the detectors there are. ``servers`` are the configured names; when given, other names are warnings.

    Raises:
        PolicyError: a folder cannot be read or holds no policy, or a file is wrong; all problems are named.
    """
    paths = as_paths(folders)
    labels = _labels(paths)
    files: list[tuple[str, str, str]] = []
    found: list[Problem] = []
    for path, label in zip(paths, labels, strict=True):
        try:
            some, warnings = _texts_in(path)
        except PolicyError as error:
            found.extend(error.problems)
            continue
        found.extend(warnings)
        files.extend((shown, label + own, text) for shown, own, text in some)
    if any(not each.is_warning for each in found):
        raise PolicyError(tuple(each for each in found if not each.is_warning))
    policies, problems = _set_of(files, ", ".join(map(str, paths)), kinds, servers, found)
    if policies is None:
        raise PolicyError(tuple(each for each in problems if not each.is_warning))
    return policies


def load_texts(
    texts: Sequence[tuple[str, str]],
    kinds: Collection[str],
    place: str = "policies",
    conditions: Conditions = CONDITIONS,
) -> PolicySet:
    """The same from names and texts, without a file: what a draft in an editor comes to.

    ``conditions`` are those that ``when`` can have.

    Raises:
        PolicyError: something is wrong in a text; all problems are named.
    """
    policies, problems = _set_of([(name, name, text) for name, text in texts], place, kinds, (), (), ABSENT, conditions)
    if policies is None:
        raise PolicyError(tuple(each for each in problems if not each.is_warning))
    return policies


def check_policies(
    paths: Sequence[Path], kinds: Collection[str], servers: Collection[str] = ()
) -> tuple[PolicySet | None, tuple[Problem, ...]]:
    """Files and folders together, as ``sidecar check`` names them: the set, if there can be one, and every problem."""
    files: dict[str, tuple[str, str, str]] = {}
    found: list[Problem] = []
    for path in paths:
        try:
            some, warnings = _texts_in(path) if path.is_dir() else ([(str(path), path.name, _text(path))], ())
        except PolicyError as error:
            found.extend(error.problems)
            continue
        found.extend(warnings)
        files.update({shown: (shown, shown, text) for shown, _, text in some})
    place = ", ".join(map(str, paths))
    policies, problems = _set_of(list(files.values()), place, kinds, servers, found, ABSENT) if files else (None, tuple(found))
    return policies, problems


def _texts_in(folder: Path) -> tuple[list[tuple[str, str, str]], tuple[Problem, ...]]:
    """Shown name, file name and text of each file. Hidden names are not read: a ConfigMap keeps its versions there."""
    try:
        entries = sorted(each for each in folder.iterdir() if not each.name.startswith("."))
    except FileNotFoundError:
        raise _refusal(
            folder, "no-folder", "there is no such folder; 'sidecar init' writes one, or name another with 'policies:'"
        ) from None
    except OSError as error:
        why = error.strerror or type(error).__name__
        raise _refusal(
            folder, "unreadable", f"cannot be read: {why}; fix that, or name another folder with 'policies:'"
        ) from None
    paths = [each for each in entries if each.suffix.lower() in _SUFFIXES and not each.is_dir()]
    if not paths:
        raise _refusal(folder, "no-policies", "holds no policy file (*.yaml); add one, or copy the shipped ones")
    if len(paths) > POLICY_FILES_MAX:
        raise _refusal(
            folder, "too-many", f"holds {len(paths)} files, at most {POLICY_FILES_MAX} are read; name the policy folder"
        )
    warnings = tuple(_ignored(each) for each in entries if each.is_dir() and _has_policies(each))
    problems: list[Problem] = []
    texts = []
    for path in paths:
        try:
            texts.append((str(path), path.name, _text(path)))
        except PolicyError as error:
            problems.extend(error.problems)
    if problems:
        raise PolicyError(tuple(problems))
    return texts, warnings


def _has_policies(folder: Path) -> bool:
    try:
        return any(each.suffix.lower() in _SUFFIXES for each in folder.iterdir())
    except OSError:
        return False


def _ignored(folder: Path) -> Problem:
    message = "policies in subfolders are not read; move them up, or name this folder with 'policies:'"
    return Problem(str(folder), 0, 0, "ignored", message, is_warning=True)


def _text(path: Path) -> str:
    try:
        with path.open("rb") as stream:
            raw = stream.read(POLICY_FILE_BYTES_MAX + 1)
    except FileNotFoundError:
        raise _refusal(path, "no-file", "there is no such file; fix the name") from None
    except OSError as error:
        raise _refusal(path, "unreadable", f"cannot be read: {error.strerror or type(error).__name__}; fix that") from None
    if len(raw) > POLICY_FILE_BYTES_MAX:
        raise _refusal(path, "too-large", f"is over {POLICY_FILE_BYTES_MAX} bytes; split it, or remove it from the folder")
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError:
        raise _refusal(path, "unreadable", "is not UTF-8 text; save it as UTF-8") from None


def _refusal(path: Path, code: str, message: str) -> PolicyError:
    return PolicyError((Problem(str(path), 0, 0, code, message),))


def _set_of(
    files: Sequence[tuple[str, str, str]],
    place: str,
    kinds: Collection[str],
    servers: Collection[str],
    found: Iterable[Problem],
    tolerated: Collection[str] = (),
    conditions: Conditions = CONDITIONS,
) -> tuple[PolicySet | None, tuple[Problem, ...]]:
    """One set of ``(shown name, file name, text)``, and every problem in order; no set when there is an error.

    A problem whose code is ``tolerated`` is only a warning.
    """
    problems = list(found)
    sources: list[Source] = []
    named: dict[str, str] = {}
    for shown, _, text in files:
        source, wrong = parse(shown, text, conditions)
        problems.extend(wrong)
        if source is not None:
            sources.append(source)
        named |= declared_kinds((source.document if source else Document(shown, text)).value)
    custom: list[CustomKind] = []
    built: list[Built] = []
    for source in sources:
        custom.extend(custom_kinds(source, problems))
        part = build(source, kinds, named)
        problems.extend((*part.problems, *check_file(source, servers)))
        built.append(part)
    if len(sources) == len(files):
        problems.extend(check_together(sources, place))
        problems.extend(check_custom(sources, {kind for part in built for kind in part.kinds}))
    problems = sorted({replace(each, is_warning=each.is_warning or each.code in tolerated) for each in problems})
    if not all(each.is_warning for each in problems):
        return None, tuple(problems)
    policies = PolicySet(
        version=_version([*((name, text) for _, name, text in files), *_lists(custom)]),
        files=tuple((name, text) for _, name, text in files),
        rules=tuple(sorted((rule for part in built for rule in part.rules), key=lambda rule: rule.id)),
        sections=tuple(sorted((part.section for part in built if part.section), key=lambda section: section.policy)),
        tests=tuple(test for part in built for test in part.tests),
        warnings=tuple(problems),
        custom=CustomKinds(custom),
        lists=tuple(list_file(each, exact) for each in sources for exact in _exact(each)),
    )
    return policies, tuple(problems)


def _exact(source: Source) -> list[ExactSpec]:
    return [each.exact for each in source.file.detectors.values() if each.exact is not None]


def _lists(custom: Iterable[CustomKind]) -> Iterator[tuple[str, str]]:
    """What lists hold, as part of what judges."""
    return ((each.kind, each.table.header.sha256) for each in custom if each.table is not None)


def _version(files: Sequence[tuple[str, str]]) -> str:
    digest = hashlib.sha256()
    for name, text in sorted(files):
        for part in (name.encode("utf-8", "surrogateescape"), text.encode()):
            digest.update(len(part).to_bytes(8) + part)
    return digest.hexdigest()[:12]


def parse(name: str, text: str, conditions: Conditions = CONDITIONS) -> tuple[Source | None, list[Problem]]:
    """One file as its model, or what is wrong with its form."""
    document = Document(name, text)
    if document.problems:
        return None, document.problems
    if not isinstance(document.value, dict):
        what = "is empty" if document.value is None else "is not a policy"
        return None, [document.problem((), "wrong-type", f"the file {what}; begin with 'version: 1' and 'policy: NAME'")]
    version = document.value.get("version")
    if isinstance(version, int) and version > FORMAT_VERSION:
        message = f"version {version} of the format needs a newer sidecar; this one reads {FORMAT_VERSION}"
        return None, [document.problem(("version",), "newer-version", message)]
    value, problems = strip_unsupported(document, [each.name for each in conditions])
    model = file_model(conditions)
    try:
        file = model.model_validate(value)
    except ValidationError as error:
        return None, sorted({*problems, *model_problems(document, error, model)})
    return (None, problems) if problems else (Source(document, file), [])
