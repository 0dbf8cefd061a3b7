"""What may stand in place of a value whose type and form a tool has promised (MCP 2025-06-18, tools, ``outputSchema``).

Clients throw a structured result away when it does not satisfy the tool's schema, so where an ordinary mark does not, another
value is chosen that does and reveals nothing: always the same for the same input.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from types import MappingProxyType
from typing import Any, Final

from sidecar import limits
from sidecar.act.formats import SAMPLES, sample_of
from sidecar.act.redact import STRUCTURED, Replace, marked
from sidecar.act.samples import NoSample, sample
from sidecar.act.schemas import CannotTell, Walk
from sidecar.events import Path, Span

_NONE: Final[Mapping[Path, Sequence[Any]]] = MappingProxyType({})


class NothingFits(ValueError):
    """No value was found that satisfies the schema and reveals nothing."""


def stand_ins(
    payload: Any, schema: Any, spans: Iterable[Span], mark: Replace, others: Mapping[Path, Sequence[Any]] = _NONE
) -> dict[Path, Any]:
    """The leaves of a result's structured content that need another value than the ordinary mark, and which.

    ``payload`` is the whole message, ``schema`` the tool's ``outputSchema``, ``others`` what is tried next of some leaves.

    Raises:
        NothingFits: see there; the result cannot be redacted.
    """
    spans = [span for span in spans if span.leaf.path[:2] == STRUCTURED]
    if not spans:
        return {}
    values: dict[Path, Any] = {}
    texts = marked((span for span in spans if span.leaf.is_text), mark)
    walk, content = Walk(schema), payload["result"]["structuredContent"]
    for path in dict.fromkeys(span.leaf.path for span in spans):
        originals = [span.stretch for span in spans if span.leaf.path == path]
        found = _first_fit(walk, content, path[2:], [texts.get(path), *others.get(path, ())], originals)
        content = _set(content, path[2:], found)
        if found != texts.get(path):
            values[path] = found
    return values


def _first_fit(walk: Walk, content: Any, way: Path, texts: list[Any], originals: list[str]) -> Any:
    """The first candidate with which the whole content satisfies the schema; what is not replaced yet satisfied it before."""
    before = content
    for step in way:
        before = before[step]
    tried: set[Any] = set()
    try:
        schemas = list(walk.speaking_of(walk.root, way))
        for candidate in _candidates(before, texts, schemas, originals):
            if candidate in tried or candidate == before or any(each in str(candidate) for each in originals):
                continue
            tried.add(candidate)
            if walk.holds(walk.root, _set(content, way, candidate), way):
                return candidate
    except CannotTell:
        pass
    raise NothingFits("the tool's schema allows no value that could take this one's place")


def _candidates(before: Any, texts: list[Any], schemas: list[dict[str, Any]], originals: list[str]) -> Iterator[Any]:
    """What could stand there, the plainest first; the first of ``texts`` is the ordinary mark, None for a number."""
    given = [each for schema in schemas for each in (schema.get("const"), *_listed(schema, "enum"))]
    text, *others = texts
    if text is None:
        yield from (*others, 0)
        yield from (each for each in given if isinstance(each, int | float) and not isinstance(each, bool))
        yield from _numbers(schemas)
        return
    yield from texts
    yield from (each for each in given if isinstance(each, str))
    for schema in schemas:
        if (known := sample_of(schema.get("format"))) is not None:
            yield known
    bounds = [schema[name] for schema in schemas for name in ("minLength", "maxLength") if isinstance(schema.get(name), int)]
    lengths = sorted({min(max(0, each), limits.SAMPLE_CHARS_MAX) for each in bounds})
    yield _shape(before, originals)
    yield _shape(before, [before])
    for pattern in (schema["pattern"] for schema in schemas if isinstance(schema.get("pattern"), str)):
        for more in (0, 1, *lengths):
            with suppress(NoSample):
                yield sample(pattern, more)
    for length in lengths:
        yield text + "*" * (length - len(text))
        yield "*" * length
    yield from SAMPLES


def _numbers(schemas: list[dict[str, Any]]) -> Iterator[float]:
    """Numbers at the edges of what is allowed, and just inside of them."""
    names = ("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf")
    edges = [schema[name] for schema in schemas for name in names if isinstance(schema.get(name), int | float)]
    for edge in edges:
        yield from (edge, edge + 1, edge - 1)
    for schema in schemas:
        step, least = schema.get("multipleOf"), schema.get("minimum", schema.get("exclusiveMinimum", 0))
        if isinstance(step, int | float) and step > 0 and isinstance(least, int | float):
            yield from (step * (least // step + more) for more in (1, 2))
    yield from ((low + high) / 2 for low in edges for high in edges if low < high)


def _shape(text: str, originals: list[str]) -> str:
    """The text with every letter of what was found as an x and every digit as a 0: same length, same punctuation."""
    for value in sorted(originals, key=len, reverse=True):
        text = text.replace(value, "".join("0" if each.isdigit() else _letter(each) for each in value))
    return text


def _letter(each: str) -> str:
    if not each.isalpha():
        return each
    return "X" if each.isupper() else "x"


def _set(value: Any, way: Path, new: Any) -> Any:
    """A copy with another value at ``way``; all that is not on the way is shared."""
    if not way:
        return new
    copied: Any = dict(value) if isinstance(value, dict) else list(value)
    copied[way[0]] = _set(value[way[0]], way[1:], new)
    return copied


def _listed(schema: Mapping[str, Any], name: str) -> list[Any]:
    value = schema.get(name)
    return value if isinstance(value, list) else []
