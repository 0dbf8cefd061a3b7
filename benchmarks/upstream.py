"""An MCP server that costs next to nothing: it answers every ``tools/call`` with 2 KB of JSON and the call's id.

It is one loop over ready sockets, without a framework, so that it is never the slowest part of a measurement.
``python benchmarks/upstream.py`` prints its port; it answers ``GET`` with the number of calls it has answered.
"""

import json
import re
import selectors
import socket

RESULT_BYTES = 2048
_HEAD_END = b"\r\n\r\n"
_LENGTH = re.compile(rb"(?i)\r\ncontent-length: *(\d+)")
_ID = re.compile(rb'"id": ?(\d+|"[^"]*")')


def _result() -> bytes:
    """A result of ``RESULT_BYTES`` in the form in which tools answer, without its id."""
    orders = [{"order": 70310 + n, "state": "shipped", "lines": 3, "note": "left at the door"} for n in range(60)]
    before, after = b'{"jsonrpc":"2.0","id":', b',"result":{"content":[{"type":"text","text":%s}],"isError":false}}'
    text = json.dumps(orders)
    room = RESULT_BYTES - len(before) - len(after) - 8
    while len(json.dumps(text)) > room:
        text = text[:-1]
    return after % json.dumps(text).encode()


_RESULT = _result()
_OK = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n"


class Server:
    """The loop and its counter."""

    def __init__(self) -> None:
        self._selector = selectors.DefaultSelector()
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=256)
        self._listener.setblocking(False)
        self._answered = 0

    def run(self) -> None:
        """Answer until killed."""
        print(self._listener.getsockname()[1], flush=True)
        self._selector.register(self._listener, selectors.EVENT_READ)
        while True:
            for key, _ in self._selector.select():
                if isinstance(key.fileobj, socket.socket) and key.data is not None:
                    self._read(key.fileobj, key.data)
                else:
                    self._accept()

    def _accept(self) -> None:
        connection, _ = self._listener.accept()
        connection.setblocking(False)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, True)
        self._selector.register(connection, selectors.EVENT_READ, bytearray())

    def _read(self, connection: socket.socket, held: bytearray) -> None:
        try:
            data = connection.recv(65536)
        except OSError:
            data = b""
        if not data:
            self._selector.unregister(connection)
            connection.close()
            return
        held += data
        while (end := held.find(_HEAD_END)) >= 0:
            length = _LENGTH.search(held, 0, end)
            size = end + len(_HEAD_END) + (int(length[1]) if length else 0)
            if len(held) < size:
                return
            connection.send(self._answer(bytes(held[:size]), end))
            del held[:size]

    def _answer(self, request: bytes, head_end: int) -> bytes:
        if request.startswith(b"GET"):
            body = b"%d" % self._answered
        else:
            self._answered += 1
            found = _ID.search(request, head_end)
            body = b'{"jsonrpc":"2.0","id":' + (found[1] if found else b"null") + _RESULT
        return _OK % len(body) + body


if __name__ == "__main__":
    Server().run()
