"""Content codings of bodies, undone within bounds (RFC 9110 §8.4).

Servers are asked for plain bodies. What one sends encoded all the same is passed on plain, so that every client reads what was
judged. A body that is broken or cut short is not passed on, though some clients would take what there is of it.
"""

import io
import zlib
from collections.abc import Callable, Iterable, Iterator
from typing import Final

import brotli
import zstandard

from sidecar import limits

_BROKEN: Final = "it is not in the encoding it says"
_PIECE_BYTES: Final = 256 * limits.KIB


class NotInItsCoding(ValueError):
    """A body is not what its ``Content-Encoding`` says."""


def decoded(raw: bytes, encoding: str, bytes_max: int = limits.RESPONSE_BYTES_MAX) -> bytes:
    """The body behind ``encoding`` (``identity``, ``gzip``, ``deflate``, ``br`` or ``zstd``).

    Raises:
        ValueError: it is in another coding, broken, cut short, or larger than ``bytes_max``.
    """
    if encoding in ("", "identity"):
        return raw
    if encoding in ("gzip", "x-gzip"):
        body = _inflated(raw, 31, bytes_max)
    elif encoding == "deflate":
        # Some send it with the frame the RFC asks for, others without.
        body = _inflated(raw, 47, bytes_max)
        body = _inflated(raw, -15, bytes_max) if body is None else body
    elif encoding == "br":
        body = _unbrotlied(raw, bytes_max)
    elif encoding == "zstd":
        body = _unzstded(raw, bytes_max)
    else:
        raise ValueError("it is in a content coding that is not known here")
    if body is None:
        raise ValueError(_BROKEN)
    if len(body) > bytes_max:
        raise ValueError(f"it is larger than {bytes_max // limits.MIB} MiB")
    return body


def undo(encoding: str) -> Callable[[bytes], Iterable[bytes]] | None:
    """A function that undoes ``gzip`` or ``deflate`` of an event stream, chunk by chunk; None where there is nothing to undo.

    It gives a chunk in pieces, so that a bomb meets the bound of one event, and raises ``NotInItsCoding`` when the stream is
    not in that coding or goes on behind its end. Raises ``ValueError`` for another coding.
    """
    if encoding in ("", "identity"):
        return None
    if encoding not in ("gzip", "x-gzip", "deflate"):
        raise ValueError("its event stream is in a content coding it was asked not to use")
    unpacker = zlib.decompressobj(47)

    def feed(chunk: bytes) -> Iterator[bytes]:
        while True:
            try:
                piece = unpacker.decompress(chunk, _PIECE_BYTES)
            except zlib.error:
                raise NotInItsCoding(_BROKEN) from None
            if unpacker.unused_data:
                raise NotInItsCoding(_BROKEN)
            if not piece:
                return
            yield piece
            chunk = unpacker.unconsumed_tail

    return feed


def _inflated(raw: bytes, window_bits: int, bytes_max: int) -> bytes | None:
    unpacker = zlib.decompressobj(window_bits)
    try:
        body = unpacker.decompress(raw, bytes_max + 1)
    except zlib.error:
        return None
    is_whole = len(body) > bytes_max or (unpacker.eof and not unpacker.unused_data)
    return body if is_whole else None


def _unbrotlied(raw: bytes, bytes_max: int) -> bytes | None:
    unpacker = brotli.Decompressor()
    try:
        body = bytes(unpacker.process(raw, output_buffer_limit=bytes_max + 1))
    except brotli.error:
        return None
    return body if len(body) > bytes_max or unpacker.is_finished() else None


def _unzstded(raw: bytes, bytes_max: int) -> bytes | None:
    """zstd only bounds what it writes when it reads as a stream, and only says whether it is whole when it does not."""
    factory = zstandard.ZstdDecompressor()
    try:
        body = factory.stream_reader(io.BytesIO(raw)).read(bytes_max + 1)
        if len(body) > bytes_max:
            return body
        unpacker = factory.decompressobj()
        return body if unpacker.decompress(raw) == body and unpacker.eof and not unpacker.unused_data else None
    except zstandard.ZstdError:
        return None
