"""The model of a board in ``dashboards/grafana/*.yaml``: panels and variables as data, validated when read."""

from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from sidecar.document import Document, model_problems
from sidecar.errors import SettingsError

Text = Annotated[str, Field(min_length=1)]


class _BoardModel(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class Step(_BoardModel):
    """A threshold: the colour from this value on."""

    start: float = Field(alias="from", strict=False)
    colour: Text


class Word(_BoardModel):
    """A text shown instead of a range of numbers; without ``to`` the range has no upper bound."""

    start: float = Field(alias="from", strict=False)
    end: float | None = Field(default=None, alias="to", strict=False)
    text: Text


class Column(_BoardModel):
    """How a table shows one column of the query."""

    title: Text
    unit: Text
    link: str = ""


class Panel(_BoardModel):
    """One panel: a number, a time series or a table, its query, and its place on the grid."""

    title: Text
    kind: Literal["stat", "timeseries", "table"]
    unit: Text
    description: Text
    at: tuple[int, int, int, int] = Field(strict=False)
    sql: Text
    decimals: int | None = None
    empty: str = ""
    steps: tuple[Step, ...] = Field(default=(), strict=False)
    words: tuple[Word, ...] = Field(default=(), strict=False)
    series: str = ""
    colours: dict[str, str] = {}
    columns: dict[str, Column] = {}


class Variable(_BoardModel):
    """A choice at the top of the board; several values at once, or all."""

    name: Text
    label: Text
    sql: Text


class Link(_BoardModel):
    """A link at the top of the board."""

    title: Text
    url: Text


class Annotation(_BoardModel):
    """Marks on every time axis; the query returns ``time``, ``text`` and ``tags``."""

    name: Text
    colour: Text
    sql: Text


class Board(_BoardModel):
    """One board, which answers one question."""

    uid: Text
    title: Text
    question: Text
    range: Text
    refresh: Text
    where: Text
    variables: tuple[Variable, ...] = Field(default=(), strict=False)
    links: tuple[Link, ...] = Field(default=(), strict=False)
    annotations: tuple[Annotation, ...] = Field(default=(), strict=False)
    panels: tuple[Panel, ...] = Field(min_length=1, strict=False)


def load_board(file: Path) -> Board:
    """Read and validate a board.

    Raises:
        SettingsError: the file cannot be read, or something in it is wrong; every mistake is reported with its position.
    """
    try:
        document = Document(str(file), file.read_text("utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(f"{file}: error[unreadable]: the board cannot be read ({error}); reinstall the program") from None
    if document.problems:
        raise SettingsError(problems=tuple(document.problems))
    try:
        return Board.model_validate(document.value)
    except ValidationError as error:
        raise SettingsError(problems=tuple(model_problems(document, error, Board))) from None
