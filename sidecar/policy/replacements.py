"""What is written in place of the values of one message: a mark that names the kind, or a token that turns back."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Final

from sidecar.detect import mark
from sidecar.events import Path, Span
from sidecar.policy.nested_json import Nested

Stretch = tuple[Path, int, int]
"""Where in a message a value stands."""

_NONE: Final[Mapping[Any, Any]] = MappingProxyType({})


def stretch_of(span: Span) -> Stretch:
    """Where a span stands, whatever was found there."""
    return span.leaf.path, span.start, span.end


class Replacements:
    """Called with a span, gives the text in its place.

    In a result's text that is JSON itself, a value that is a number there becomes one: 0, as in structured content.
    ``others`` are further forms of a token that takes the place of a whole leaf, for schemas that do not allow the first.
    """

    __slots__ = ("_nested", "_texts", "others")

    def __init__(self, texts: Mapping[Stretch, str] = _NONE, others: Mapping[Path, tuple[Any, ...]] = _NONE) -> None:
        self.others = others
        self._texts = texts
        self._nested = Nested()

    def __call__(self, span: Span) -> str:
        """The text that takes a span's place."""
        if token := self.token(span):
            return token
        is_result = span.leaf.path[:1] == ("result",) and span.leaf.is_text
        return "0" if is_result and self._nested.is_bare(span.leaf.text, span.start, span.end) else mark(span)

    def token(self, span: Span) -> str:
        """The token in a span's place; empty where there is none."""
        return self._texts.get(stretch_of(span), "")

    @property
    def numbers(self) -> dict[Path, Any]:
        """The numbers that become another number."""
        return {path: forms[0] for path, forms in self.others.items() if not isinstance(forms[0], str)}
