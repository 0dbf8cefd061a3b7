"""What the notifications of one call or stream ended with, so that a value cut in two by a server is found where it ends.

Progress messages and log messages (MCP 2025-11-25, progress and logging) are texts that clients show one after the other. The
first part of a value has passed when the second comes and cannot be had back; the second can still be acted on, and the
finding says how it was read.
"""

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Final

from sidecar import limits
from sidecar.detect import Texts, walk
from sidecar.events import Leaf, Path, Scan, Span

VIA: Final = "parts, of which the first had passed"

_NO_TEXT: Final = frozenset(("_meta", "progressToken", "level", "logger", "requestId", "taskId", "uri"))
"""Names and ids among the parameters of notifications."""

_Field = tuple[str, str, Path]
"""Of one method, for one progress token or logger, at one place."""


@dataclass(slots=True)
class _TextEnd:
    """The end of a text, and where in it which kinds were found already."""

    text: str = ""
    found: tuple[tuple[int, int, str], ...] = ()

    def knows(self, span: Span) -> bool:
        """Whether a value that begins here was found before, and is only made longer by what follows."""
        return any(kind == span.kind and start < span.end and span.start < end for start, end, kind in self.found)


class CarryOver:
    """Those of one call, or of one stream where the call is not known. Bounded; gone with it."""

    __slots__ = ("_text_ends",)

    def __init__(self) -> None:
        self._text_ends: OrderedDict[_Field, _TextEnd] = OrderedDict()

    def complete(self, payload: Any, scan: Scan, look: Callable[[Texts], Scan]) -> Scan:
        """What was seen in a notification, with the values of which it holds only the end."""
        begun = [(self._text_ends[field], leaf) for field, leaf in _speech(payload).items() if field in self._text_ends]
        if not begun:
            return scan
        heads = [leaf.text[: limits.TAIL_CHARS_MAX] for _, leaf in begun]
        seen = look(walk([tail.text + head for (tail, _), head in zip(begun, heads, strict=True)]))
        spans = list(scan.spans)
        for span in seen.spans:
            index = span.leaf.path[0] if span.leaf.path else None
            if not isinstance(index, int):
                continue
            (tail, leaf), head = begun[index], heads[index]
            start, end = span.start - len(tail.text), span.end - len(tail.text)
            if end <= 0 or (end == len(head) < len(leaf.text)):
                continue
            own = [each for each in scan.spans if each.leaf.path == leaf.path and each.start < end and start < each.end]
            if start >= 0:
                # Only what stands before told what this is.
                spans += [] if own else [replace(span, leaf=leaf, start=start, end=end)]
            elif not tail.knows(span):
                spans = [each for each in spans if each not in own or each.kind != span.kind or each.end > end]
                spans.append(replace(span, leaf=leaf, start=0, end=end, via=_via(span), plain=span.value))
        skipped = tuple(sorted({*scan.skipped, *seen.skipped}))
        return scan._replace(spans=tuple(spans), skipped=skipped)

    def remember(self, payload: Any, scan: Scan) -> None:
        """A notification goes on to the client, which will read the next one after it."""
        for field, leaf in _speech(payload).items():
            tail = self._text_ends.pop(field, _TextEnd())
            text = tail.text + leaf.text
            cut = max(0, len(text) - limits.TAIL_CHARS_MAX)
            moved = len(tail.text) - cut
            own = ((each.start + moved, each.end + moved, each.kind) for each in scan.spans if each.leaf.path == leaf.path)
            before = ((start - cut, end - cut, kind) for start, end, kind in tail.found)
            found = tuple(each for each in (*before, *own) if each[1] > 0)[-limits.TAIL_FOUND_MAX :]
            self._text_ends[field] = _TextEnd(text[cut:], found)
            if len(self._text_ends) > limits.TAILS_MAX:
                self._text_ends.popitem(last=False)


def _via(span: Span) -> str:
    return f"{span.via} in {VIA}" if span.via else VIA


def _speech(payload: Any) -> dict[_Field, Leaf]:
    """The texts of a notification that a client may show after those of the one before, each with what it continues."""
    params = payload.get("params") if isinstance(payload, dict) else None
    if not isinstance(params, dict) or not isinstance(method := payload.get("method"), str):
        return {}
    about = repr(params.get("progressToken", params.get("logger", "")))[: limits.NAME_CHARS_MAX]
    texts = walk({name: value for name, value in params.items() if name not in _NO_TEXT}, root=("params",))
    leaves = (leaf for leaf in texts.leaves().values() if leaf.is_text and not leaf.is_key)
    return {(method, about, leaf.path): leaf for leaf, _ in zip(leaves, range(limits.TAILS_MAX), strict=False)}
