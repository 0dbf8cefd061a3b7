"""Makes docs/settings.md of the settings' models, so that a field is described where it is defined and nowhere else.

`make docs` runs it; tests/test_docs.py fails while the file is not what this makes.
"""

import ast
import inspect
import sys
from collections.abc import Iterator
from pathlib import Path
from types import UnionType
from typing import Annotated, Any, Final, Literal, Union, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from sidecar import addresses, settings

FILE: Final = Path(__file__).parents[1] / "docs" / "settings.md"

_HEAD: Final = """\
# Settings

<!-- Made by `make docs` from sidecar/settings.py; edit that. -->

`sidecar.yaml` holds them, and every command takes another file with `-c FILE` or `SIDECAR_CONFIG`. Everything has a default.
A key that is not here is an error, named with its line and column. Paths count from where the file stands, and `~` is your
home. Plain words are text: only `true`, `false`, `null` and decimal numbers are read as anything else.

Variables of the environment override the file for {overrides}:
`SIDECAR_` and the name in capitals, such as `SIDECAR_MODE`.

A change takes effect at the next start; policies are in files of their own, and a change of those is in force at once.
"""

_PARTS: Final = (
    (settings.Settings, "The file", ""),
    (settings.Server, "A server", "servers"),
    (settings.Alert, "An alert", "alerts"),
)
"""Each model, its heading, and the list it is a member of."""

_BASES: Final = {
    "servers": {"name": "crm", "listen": "127.0.0.1:9001", "upstream": "https://crm.example.com"},
    "alerts": {"name": "security", "webhook": "env:SECURITY_WEBHOOK"},
}
"""What a member of a list must say beside the setting that is shown."""

_TEXTS: Final = {
    addresses.Address: "`host:port`",
    addresses.Name: "name",
    addresses.Upstream: "`http://` or `https://` and a host",
    addresses.Webhook: "`http(s)` address, `env:NAME` or `file:PATH`",
    addresses.Reference: "`env:NAME` or `file:PATH`",
}
_PLAIN: Final = {str: "text", bool: "`true` or `false`", int: "whole number", float: "number"}


def page() -> str:
    """The whole text of docs/settings.md."""
    names = ", ".join(f"`{name}`" for name in settings.OVERRIDES)
    parts = [_HEAD.format(overrides=names)]
    for model, heading, inside in _PARTS:
        lead = f"{_docstring(model)}" + (f" A member of `{inside}`." if inside else "")
        parts += [f"## {heading}\n\n{lead}\n", *_sections(model, inside)]
    return "\n".join(parts)


def examples() -> Iterator[tuple[str, str]]:
    """Every setting's full name, such as ``servers.hosts``, and a whole file that sets it as its example says."""
    for model, _, inside in _PARTS:
        for name, field in _fields(model):
            yield f"{inside}.{name}".lstrip("."), _example(name, field, inside)


def _sections(model: type[BaseModel], inside: str) -> Iterator[str]:
    meanings = _meanings(model)
    for name, field in _fields(model):
        unit = field.json_schema_extra.get("unit") if isinstance(field.json_schema_extra, dict) else ""
        facts = [f"Type: {_type(field)}" + (f", in {unit}" if unit else ""), f"default: {_default(name, field)}"]
        if not inside and name in settings.OVERRIDES:
            facts.append(f"environment: `SIDECAR_{name.upper()}`")
        meaning = meanings[name].replace("``", "`")
        yield f"### `{name}`\n\n{meaning}\n\n{'; '.join(facts)}.\n\n```yaml\n{_example(name, field, inside)}```\n"


def _fields(model: type[BaseModel]) -> list[tuple[str, FieldInfo]]:
    """The fields that may stand in a file."""
    return [(name, field) for name, field in model.model_fields.items() if not field.exclude]


def _example(name: str, field: FieldInfo, inside: str) -> str:
    shown = (field.examples or [""])[0]
    if not inside:
        return f"{name}: {shown}\n"
    lines = [f"{key}: {value}" for key, value in {**_BASES[inside], name: shown}.items()]
    return f"{inside}:\n  - " + "\n    ".join(lines) + "\n"


def _default(name: str, field: FieldInfo) -> str:
    if field.is_required():
        return "none, it must be set"
    if field.default_factory is not None:
        return "as said"
    value = field.default
    if value in ("", ()):
        return "none"
    if isinstance(value, tuple):
        value = ", ".join(value)
    return f"`{str(value).lower() if isinstance(value, bool) else value}`"


def _type(field: FieldInfo) -> str:
    annotation = field.annotation
    if validators := tuple(each for each in field.metadata if hasattr(each, "func")):
        annotation = Annotated[annotation, *validators]  # type: ignore[assignment]
    text = _spelled(annotation)
    low = next((each.ge for each in field.metadata if hasattr(each, "ge")), None)
    high = next((each.le for each in field.metadata if hasattr(each, "le")), None)
    return text + (f" from {low}" if low is not None else "") + (f" to {high}" if high is not None else "")


def _spelled(annotation: Any) -> str:
    if get_origin(annotation) is Annotated and get_args(annotation)[0] == get_args(addresses.Folders)[0]:
        return "folder, or list of folders"
    for alias, text in _TEXTS.items():
        if annotation == alias:
            return text
    origin = get_origin(annotation)
    if origin is Literal:
        return " or ".join(f"`{each}`" for each in get_args(annotation) if each)
    if origin is tuple:
        return f"list of {_spelled(get_args(annotation)[0])}"
    if origin in (Union, UnionType):
        return " or ".join(_spelled(each) for each in get_args(annotation) if each is not type(None))
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        heading = next(heading for model, heading, _ in _PARTS if model is annotation)
        return f"[{annotation.__name__.lower()}s](#{heading.lower().replace(' ', '-')})"
    return _PLAIN[annotation]


def _docstring(model: type[BaseModel]) -> str:
    return inspect.cleandoc(model.__doc__ or "").replace("``", "`")


def _meanings(model: type[BaseModel]) -> dict[str, str]:
    """The docstring below each field, which Python does not keep."""
    body = ast.parse(inspect.getsource(model)).body[0]
    assert isinstance(body, ast.ClassDef)
    found = {}
    for statement, after in zip(body.body, body.body[1:], strict=False):
        if isinstance(statement, ast.AnnAssign) and isinstance(statement.target, ast.Name):
            text = after.value.value if isinstance(after, ast.Expr) and isinstance(after.value, ast.Constant) else ""
            found[statement.target.id] = inspect.cleandoc(str(text))
    return found


if __name__ == "__main__":
    FILE.write_text(page(), "utf-8")
    sys.stderr.write(f"wrote {FILE.name}\n")
