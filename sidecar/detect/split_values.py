"""Joins fields of one message, because a value may be split over several."""

import re
from typing import Final

from sidecar.detect.text import Texts
from sidecar.detect.views import View
from sidecar.limits import JOINED_FIELDS_MAX

_PART: Final = re.compile(r"[!-~]{3,256}")


def join_fields(texts: Texts) -> View:
    """Short fields without spaces that follow one another, without keys, joined: the first ``JOINED_FIELDS_MAX`` of them.

    This is a guess at how a value was split, so what lies beyond is not reported as skipped.
    """
    made, count = View(texts), 0
    row: list[int] = []
    starts, data = texts.starts(), texts.joined()

    def close() -> None:
        for index in row if len(row) > 1 else ():
            made.add(data[starts[index] : starts[index + 1] - 1], starts[index], starts[index + 1] - 1, "", index)
        if len(row) > 1:
            made.add(b"\n", made.size, made.size, "", -1)
        row.clear()

    for index, text in texts.values():
        if _PART.fullmatch(text):
            row.append(index)
            count += 1
        else:
            close()
        if count >= JOINED_FIELDS_MAX:
            break
    close()
    return made
