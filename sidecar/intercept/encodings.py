"""Content codings of responses, undone within bounds (RFC 9110 §8.4).

Servers are asked for plain bodies. What one sends encoded all the same is read only in the codings every client reads
alike; with any other, what we would judge and what the client reads could be two things.
"""

import zlib

from sidecar import limits


def decoded(raw: bytes, encoding: str) -> bytes:
    """The body behind ``encoding`` (``identity``, ``gzip`` or ``deflate``).

    Raises:
        ValueError: it is in another coding, broken, or larger than a response may be.
    """
    if encoding in ("", "identity"):
        return raw
    if encoding not in ("gzip", "x-gzip", "deflate"):
        raise ValueError("its response is in a content coding it was asked not to use")
    for window_bits in (47, -15) if encoding == "deflate" else (31,):
        unpacker = zlib.decompressobj(window_bits)
        try:
            body = unpacker.decompress(raw, limits.RESPONSE_BYTES_MAX + 1)
        except zlib.error:
            continue
        if len(body) > limits.RESPONSE_BYTES_MAX:
            raise ValueError(f"its response is larger than {limits.RESPONSE_BYTES_MAX // limits.MIB} MiB")
        if unpacker.eof and not unpacker.unused_data:
            return body
    raise ValueError("its response is not in the encoding it says")
