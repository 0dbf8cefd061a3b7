"""Plain HTTP/1.1 to one server, without mitmproxy's layers: what nearly every client sends."""
