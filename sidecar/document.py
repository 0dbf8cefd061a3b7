"""Strict reading of YAML written by people: every value has its line and column, and nothing is guessed.

Plain loaders turn ``no`` into a boolean, ``10:30`` into a number, and silently let the second of two equal keys win.
Here a plain scalar is a string unless it is exactly ``true``, ``false``, ``null``, a decimal integer or a decimal number.
"""

import difflib
import re
from collections.abc import Iterable, Sequence
from typing import Any, Final

import yaml
from pydantic import BaseModel, ValidationError

from sidecar.errors import Problem
from sidecar.events import Path
from sidecar.limits import YAML_DEPTH_MAX

_INTEGER: Final = re.compile(r"-?(0|[1-9][0-9]*)\Z")
_NUMBER: Final = re.compile(r"-?(0|[1-9][0-9]*)\.[0-9]+\Z")
_CONSTANTS: Final = {"true": True, "false": False, "null": None, "~": None, "": None}

_Loader: type[Any] = getattr(yaml, "CSafeLoader", yaml.SafeLoader)

Position = tuple[int, int]


class Document:
    """One YAML text: its value, and the position of each part of the value.

    ``problems`` holds what is wrong with the text itself (syntax, duplicate keys, anchors); then ``value`` may be partial.
    """

    def __init__(self, file: str, text: str) -> None:
        self.file = file
        self.value: Any = None
        self.problems: list[Problem] = []
        self._places: dict[Path, Position] = {}
        self._keys: dict[Path, Position] = {}
        if (hostile := _hostile(file, text)) is not None:
            self.problems.append(hostile)
            return
        try:
            node = yaml.compose(text, Loader=_Loader)
        except yaml.MarkedYAMLError as error:
            mark = error.problem_mark or error.context_mark
            line, column = (mark.line + 1, mark.column + 1) if mark else (0, 0)
            what = error.problem or error.context or "not YAML"
            self.problems.append(Problem(file, line, column, "syntax", f"{what}; fix the YAML here"))
            return
        except yaml.reader.ReaderError as error:
            text_at = f"character {error.position} is not allowed in YAML ({error.reason}); save the file as UTF-8 text"
            self.problems.append(Problem(file, 1, 1, "syntax", text_at))
            return
        if node is not None:
            self.value = self._build(node, ())

    def problem(self, path: Path, code: str, text: str, *, at_key: bool = False, is_warning: bool = False) -> Problem:
        """A mistake at ``path``; a path without a position of its own gets that of its nearest parent."""
        line, column = self.position(path, at_key=at_key)
        return Problem(self.file, line, column, code, text, is_warning)

    def position(self, path: Path, *, at_key: bool = False) -> Position:
        """Line and column of the value at ``path`` (or of its key), counted from 1."""
        if at_key and path in self._keys:
            return self._keys[path]
        while path and path not in self._places:
            path = path[:-1]
        return self._places.get(path, (1, 1))

    def _build(self, node: Any, path: Path) -> Any:
        self._places[path] = (node.start_mark.line + 1, node.start_mark.column + 1)
        if isinstance(node, yaml.ScalarNode):
            return _scalar(node)
        if isinstance(node, yaml.SequenceNode):
            return [self._build(child, (*path, index)) for index, child in enumerate(node.value)]
        built: dict[str, Any] = {}
        for key_node, value_node in node.value:
            if not isinstance(key_node, yaml.ScalarNode):
                self.problems.append(self.problem(path, "syntax", "a key must be a plain string; write it on one line"))
                continue
            key = str(key_node.value)
            here = (*path, key)
            place = (key_node.start_mark.line + 1, key_node.start_mark.column + 1)
            if key in built:
                first = self._keys[here][0]
                self.problems.append(
                    Problem(self.file, *place, "duplicate-key", f"'{key}' is already set at line {first}; keep one of the two")
                )
                continue
            self._keys[here] = place
            built[key] = self._build(value_node, here)
        return built


def _hostile(file: str, text: str) -> Problem | None:
    """What would exhaust the stack or the memory of a recursive reader: very deep nesting, and aliases, which multiply."""
    depth = 0
    try:
        for event in yaml.parse(text, Loader=_Loader):
            mark = event.start_mark
            place = (mark.line + 1, mark.column + 1) if mark else (1, 1)
            if isinstance(event, yaml.AliasEvent):
                return Problem(file, *place, "alias", "aliases are not supported; write the value out")
            if isinstance(event, yaml.CollectionStartEvent):
                depth += 1
                if depth > YAML_DEPTH_MAX:
                    return Problem(file, *place, "syntax", f"nested more than {YAML_DEPTH_MAX} levels deep; flatten it")
            elif isinstance(event, yaml.CollectionEndEvent):
                depth -= 1
    except yaml.YAMLError:
        return None
    except UnicodeEncodeError:
        return Problem(file, 1, 1, "syntax", "this is not Unicode text; save the file as UTF-8")
    return None


def _scalar(node: Any) -> Any:
    text: str = node.value
    if node.style:
        return text
    if text in _CONSTANTS:
        return _CONSTANTS[text]
    if _INTEGER.match(text):
        return int(text) if len(text) < 20 else text
    if _NUMBER.match(text):
        return float(text)
    return text


def suggest(word: str, known: Iterable[str]) -> str:
    """``; did you mean 'x'?`` when a known word is near ``word``, else nothing."""
    near = difflib.get_close_matches(word, list(known), n=1, cutoff=0.6)
    return f"; did you mean '{near[0]}'?" if near else ""


def model_problems(document: Document, error: ValidationError, model: type[BaseModel], at: Path = ()) -> list[Problem]:
    """The errors that pydantic found, with our codes and texts, each at its position in the document.

    Codes: ``unknown-field``, ``missing-field``, ``unknown-value``, ``wrong-type``, ``invalid``.
    """
    problems = []
    items = error.errors(include_url=False, include_input=True)
    for item in items:
        # A problem with a key is reported at the key.
        at_key = item["loc"][-1:] == ("[key]",)
        path = (*at, *_real_path(document, item["loc"][:-1] if at_key else item["loc"], at))
        name = ".".join(str(step) for step in path) or "file"
        kind = item["type"]
        if kind == "too_short" and any(len(each["loc"]) > len(item["loc"]) for each in items):
            # pydantic counts only the valid members, and the invalid ones have an error of their own.
            continue
        given = item.get("input")
        if kind == "extra_forbidden":
            field = str(path[-1])
            inner = _model_at(model, item["loc"][:-1])
            text = f"{name}: '{field}' is not a field here{suggest(field, _field_names(inner))}{known_fields(inner)}"
            problems.append(document.problem(path, "unknown-field", text, at_key=True))
        elif kind == "missing":
            problems.append(document.problem(path[:-1], "missing-field", f"{name}: this field is required; add it"))
        elif kind in ("literal_error", "enum"):
            expected = item["ctx"]["expected"]
            near = suggest(str(given), re.findall(r"'([^']+)'", expected))
            problems.append(document.problem(path, "unknown-value", f"{name}: {_show(given)} is not one of {expected}{near}"))
        elif kind == "value_error":
            problems.append(document.problem(path, "invalid", f"{name}: {item['ctx']['error']}", at_key=at_key))
        else:
            said = item["msg"].removeprefix("Input should be ").removeprefix("a ").removeprefix("valid ")
            problems.append(document.problem(path, "wrong-type", f"{name}: found {_show(given)}, expected {said}"))
    return sorted(set(problems))


def _real_path(document: Document, loc: Sequence[Any], at: Path) -> Path:
    """The location without the names of union members that pydantic adds: only steps that exist in the text."""
    path: Path = ()
    value = document.value
    for step in at:
        value = value[step]
    for index, step in enumerate(loc):
        is_last = index == len(loc) - 1
        if isinstance(value, dict) and (step in value or is_last) and isinstance(step, str):
            path, value = (*path, step), value.get(step)
        elif isinstance(value, list) and isinstance(step, int) and step < len(value):
            path, value = (*path, step), value[step]
    return path


def known_fields(model: Any) -> str:
    """`` (known here: a, b, c)``: what may be written where ``model`` is read, in alphabetical order; nothing if unknown."""
    names = sorted(_field_names(model))
    return f" (known here: {', '.join(names)})" if names else ""


def _model_at(model: Any, loc: Sequence[Any]) -> Any:
    """The model found by walking ``loc``; None when the walk leaves the models."""
    for step in loc:
        fields = getattr(model, "model_fields", {})
        if step in fields:
            model = _model_in(fields[step].annotation)
        elif isinstance(step, str) and isinstance(model, type) and model.__name__ == step:
            continue
    return model


def _field_names(model: Any) -> list[str]:
    fields = getattr(model, "model_fields", {})
    return [info.alias or name for name, info in fields.items() if not info.exclude]


def _model_in(annotation: Any) -> Any:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    for inner in getattr(annotation, "__args__", ()):
        if (found := _model_in(inner)) is not None:
            return found
    return None


def _show(value: Any) -> str:
    """A value as it is quoted in a message: short, and never a whole structure."""
    if isinstance(value, dict | list):
        return "a mapping" if isinstance(value, dict) else "a list"
    return repr(value) if len(str(value)) <= 60 else repr(str(value)[:57] + "...")
