"""Looks at a kept connection to a server before a request is sent on it."""

import asyncio
import select


class IdleProbe:
    """The socket of one connection; made once, asked before each request."""

    def __init__(self, transport: asyncio.BaseTransport) -> None:
        self._poll = select.poll()
        self._poll.register(transport.get_extra_info("socket").fileno(), select.POLLIN)

    def is_quiet(self) -> bool:
        """Whether nothing has arrived, no bytes and no end, that the event loop has yet to tell of.

        A request sent to a server that is closing would be lost; and bytes nobody asked for could be taken for its answer.
        """
        return not self._poll.poll(0)
