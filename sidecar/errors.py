"""The exceptions a user can meet, and the one shape in which a mistake in a file is told.

    SidecarError
    ├── SettingsError   sidecar.yaml, the environment, a port, a folder
    ├── PolicyError     a policy file, or an expression in one
    └── StoreError      ClickHouse, embedded or not

No exception crosses ``transports``: there a failure becomes a finding of kind ``error`` and the rule's ``on_error``.
"""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, order=True)
class Problem:
    """One mistake in one place of one file.

    ``line`` and ``column`` count from 1; both are 0 when the mistake has no place in the text (a missing file).
    ``code`` is a stable word a program may match on; ``text`` says what was found, what was expected and how to fix it.
    """

    file: str
    line: int
    column: int
    code: str
    text: str
    is_warning: bool = False

    def __str__(self) -> str:
        place = f"{self.file}:{self.line}:{self.column}" if self.line else self.file
        return f"{place}: {'warning' if self.is_warning else 'error'}[{self.code}]: {self.text}"


class SidecarError(Exception):
    """The base of every error this program raises for a person to read."""


class SettingsError(SidecarError):
    """The installation cannot run as it is set up; ``problems`` may name the places."""

    def __init__(self, text: str = "", problems: tuple[Problem, ...] = ()) -> None:
        self.problems = problems
        super().__init__("\n".join(filter(None, [text, *map(str, problems)])))


class PolicyError(SidecarError):
    """A policy is not valid; ``problems`` names every mistake found, in file order."""

    def __init__(self, problems: tuple[Problem, ...]) -> None:
        self.problems = problems
        super().__init__("\n".join(map(str, problems)))


class StoreError(SidecarError):
    """The store cannot be opened, reached or written."""


def place_of(error: BaseException) -> str:
    """What kind of error it was and where it was raised (``KeyError in Reader.read:12``); nothing of the data."""
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    return f"{type(error).__name__} in {trace.tb_frame.f_code.co_qualname}:{trace.tb_lineno}" if trace else type(error).__name__
