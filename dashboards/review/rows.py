"""Tables of the page: every cell is plain text or a coloured word, and a row may be a link.

Streamlit's own table is a canvas, which neither a screen reader nor the browser's Back button follows; this one is HTML.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final, Literal

import streamlit as st
from streamlit.components.v2.types import ComponentRenderer

from sidecar.review.visible import visible

COLOURS: Final = {
    "allow": "gray",
    "log": "blue",
    "alert": "violet",
    "redact": "orange",
    "tokenize": "orange",
    "block": "red",
    "info": "gray",
    "low": "blue",
    "medium": "yellow",
    "high": "orange",
    "critical": "red",
    "enforce": "gray",
    "monitor": "blue",
    "sent": "green",
    "failed": "red",
    "dropped": "orange",
    "problem": "red",
}
"""The theme colour of each verdict, severity, mode and state; the word is always shown too."""


@dataclass(frozen=True, slots=True)
class Column:
    """One column. The cells of a ``link`` column hold the row's link; those of a ``word`` column are coloured."""

    label: str
    kind: Literal["text", "wrap", "word", "number", "link"] = "text"
    width: str = ""
    help: str = ""


@dataclass(frozen=True, slots=True)
class Row:
    """One row: a text for each column, and the target of a click."""

    cells: Sequence[str]
    href: str = ""


@st.cache_resource
def _component() -> ComponentRenderer:
    here = Path(__file__)
    js, css = (here.with_suffix(ending).read_text("utf-8") for ending in (".js", ".css"))
    return st.components.v2.component("rows", js=js, css=css)


def table(columns: Sequence[Column], rows: Sequence[Row], key: str) -> None:
    """Show a table. ``key`` is its name on the page; with it the scroll position survives a refresh."""
    lines = [
        {
            "href": row.href,
            "cells": [_cell(column, text) for column, text in zip(columns, row.cells, strict=True)],
        }
        for row in rows
    ]
    _component()(data={"columns": [asdict(column) for column in columns], "rows": lines}, key=key)


def _cell(column: Column, text: str) -> str | list[str] | None:
    if column.kind != "word":
        return visible(text)
    return [visible(text), COLOURS.get(text, "gray")] if text else None
