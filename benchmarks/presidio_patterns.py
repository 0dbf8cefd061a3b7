"""Presidio's pattern recognisers over texts from standard input, run by an interpreter that has ``presidio-analyzer``.

In: a JSON list of texts. Out: ``{"spans": [[[kind, start, end], …], …], "cpu_s": …}``. Recognisers that need a model are left
out; those that remain run without the words around a match, which Presidio takes from a model.
"""

import json
import logging
import sys
import time
from typing import Any

LEAST = 0.3
"""Below it, Presidio itself calls a match of a pattern weak."""


def main() -> None:
    """Judge the texts."""
    from presidio_analyzer import predefined_recognizers as known

    logging.disable(logging.CRITICAL)
    recognizers: list[Any] = [
        getattr(known, name)()
        for name in (
            "CreditCardRecognizer", "IbanRecognizer", "UsSsnRecognizer", "EmailRecognizer", "IpRecognizer", "PhoneRecognizer",
        )
    ]  # fmt: skip
    texts = json.load(sys.stdin)
    started = time.process_time()
    spans = [[span for each in recognizers for span in _spans(each, text)] for text in texts]
    json.dump({"spans": spans, "cpu_s": time.process_time() - started}, sys.stdout)


def _spans(recognizer: Any, text: str) -> list[tuple[str, int, int]]:
    found = recognizer.analyze(text, recognizer.supported_entities, None) or []
    return [(each.entity_type, each.start, each.end) for each in found if each.score >= LEAST]


if __name__ == "__main__":
    main()
