"""The states of a client's connection, and which may follow which."""

from enum import IntEnum
from typing import Final


class ClientState(IntEnum):
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


MOVES: Final[dict[ClientState, frozenset[ClientState]]] = {
    ClientState.IDLE: frozenset((ClientState.RECEIVING, ClientState.WAITING, ClientState.HANDED_OVER, ClientState.CLOSED)),
    ClientState.RECEIVING: frozenset((ClientState.WAITING, ClientState.HANDED_OVER, ClientState.CLOSED)),
    # To idle at once: the request was refused, or the server failed.
    ClientState.WAITING: frozenset((ClientState.IDLE, ClientState.COLLECTING, ClientState.STREAMING, ClientState.CLOSED)),
    ClientState.COLLECTING: frozenset((ClientState.IDLE, ClientState.CLOSED)),
    ClientState.STREAMING: frozenset((ClientState.IDLE, ClientState.CLOSED)),
    ClientState.HANDED_OVER: frozenset(),
    ClientState.CLOSED: frozenset(),
}
"""The states that may follow each state."""
