"""The states of a client's connection, and which may follow which."""

from enum import IntEnum
from typing import Final


class State(IntEnum):
    """Where a client's connection stands. Bytes that arrive while a request is being answered wait in the buffer."""

    IDLE = 0
    """No part of a request is being read. The buffer may hold some while the client does not read its responses."""
    RECEIVING = 1
    """A request has begun and is not whole."""
    WAITING = 2
    """A request is whole, and no response to it has begun."""
    COLLECTING = 3
    """A response has begun and is held until it is whole."""
    STREAMING = 4
    """An event stream is open."""
    HANDED_OVER = 5
    """The connection belongs to mitmproxy's layers."""
    CLOSED = 6
    """Nothing more is read."""


MOVES: Final[dict[State, frozenset[State]]] = {
    State.IDLE: frozenset((State.RECEIVING, State.WAITING, State.HANDED_OVER, State.CLOSED)),
    State.RECEIVING: frozenset((State.WAITING, State.HANDED_OVER, State.CLOSED)),
    # To idle at once: the request was refused, or the server failed.
    State.WAITING: frozenset((State.IDLE, State.COLLECTING, State.STREAMING, State.CLOSED)),
    State.COLLECTING: frozenset((State.IDLE, State.CLOSED)),
    State.STREAMING: frozenset((State.IDLE, State.CLOSED)),
    State.HANDED_OVER: frozenset(),
    State.CLOSED: frozenset(),
}
"""The states that may follow each state."""
