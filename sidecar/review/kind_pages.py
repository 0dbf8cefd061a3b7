"""``sidecar kinds``: lists the kinds that can be detected, and prints the page of each."""

import argparse
import sys
from collections.abc import Iterator, Mapping, Sequence
from fnmatch import fnmatchcase

from sidecar.detect import DETECTORS, IDS, REGISTERED, Detector


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of ``sidecar kinds``."""
    parser.add_argument(
        "name", nargs="?", default="", metavar="NAME", help="a kind, its first word, or a pattern: 'secrets.git*'"
    )


def run(args: argparse.Namespace) -> int:
    """List all kinds, or print the pages of those that match ``NAME``; returns the exit code, 2 where none matches."""
    kinds = _detectors_by_kind()
    if not args.name:
        for kind, detectors in kinds.items():
            sys.stdout.write(f"{kind:34} {_confidence_range(detectors):>11}  {detectors[0].about}\n")
        return 0
    wanted = [kind for kind in kinds if kind == args.name or kind.startswith(f"{args.name}.") or fnmatchcase(kind, args.name)]
    if not wanted:
        sys.stderr.write(f"sidecar kinds: there is no kind {args.name!r}; 'sidecar kinds' lists them all\n")
        return 2
    sys.stdout.write("\n".join(format_page(kind, kinds[kind]) for kind in wanted))
    return 0


def format_page(kind: str, detectors: Sequence[Detector]) -> str:
    """The page of one kind, of which ``detectors`` are the ways to recognise it."""
    return "".join(f"{line}\n" for line in _page_lines(kind, detectors))


def _page_lines(kind: str, detectors: Sequence[Detector]) -> Iterator[str]:
    yield kind
    for each in detectors:
        yield f"  found         {each.about} (confidence up to {each.confidence:g})"
    if kind in IDS:
        yield f"  form          {IDS[kind].form} (# a digit, @ a letter, {{ymd}} a date of birth)"
    if all(each.is_ahead for each in detectors):
        yield "  needs         a word for it at most 60 bytes before the value, in the text or as its key"
    if any(each.doubt for each in detectors):
        yield "  not found     values that look like documentation (examples, alphabets), except by the strict profile"
    if kind.startswith("secrets."):
        yield "  never found   placeholders: xxxxx, <token>, your-key-here"
    shown = min(each.shown for each in detectors)
    masked = f"its first {shown} characters and its length" if shown else "its length only"
    yield f"  record shows  {masked}; redacted it reads [{kind}]"
    yield f"  in a rule     when: {{detect: {{any: [{kind}], confidence: {_confidence_to_ask(detectors):g}}}}}"


def _detectors_by_kind() -> Mapping[str, list[Detector]]:
    kinds: dict[str, list[Detector]] = {}
    for each in sorted((*DETECTORS, REGISTERED), key=lambda detector: detector.kind):
        kinds.setdefault(each.kind, []).append(each)
    return kinds


def _confidence_to_ask(detectors: Sequence[Detector]) -> float:
    """The confidence that a rule which acts should ask for: 0.9, or the most that the kind can reach."""
    return min(0.9, *(each.confidence for each in detectors))


def _confidence_range(detectors: Sequence[Detector]) -> str:
    values = sorted({each.confidence for each in detectors})
    return f"{values[0]:g}" if len(values) == 1 else f"{values[0]:g} to {values[-1]:g}"
