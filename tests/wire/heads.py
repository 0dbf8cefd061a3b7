"""HTTP around an ordinary answer: statuses, framings, codings, redirects, interim responses (RFC 9110, RFC 9112)."""

import zlib
from collections.abc import Callable, Iterable

import brotli
import zstandard

from tests.wire.parts import JSON, LAST, TEXT, Ask, Shape, Step, chunk, chunked, event, failure, http, packed, reply, said

Steps = Callable[[Ask], Iterable[Step]]

HTML = b"<html><body><h1>502 Bad Gateway</h1></body></html>"


def at(status: str, type_: bytes = JSON, body: Callable[[Ask], bytes] = reply, more: bytes = b"") -> Steps:
    return lambda ask: [http(body(ask), type_ + more, status=status.encode())]


def typed(value: str) -> Steps:
    return at("200 OK", b"content-type: %s\r\n" % value.encode())


def coded(name: str, pack: Callable[[bytes], bytes]) -> Steps:
    return lambda ask: [http(pack(reply(ask)), JSON + b"content-encoding: %s\r\n" % name.encode())]


def raw_deflate(data: bytes) -> bytes:
    packer = zlib.compressobj(wbits=-15)
    return packer.compress(data) + packer.flush()


def refused(ask: Ask) -> bytes:
    return failure(ask, b"-32000", b'"refused"')


def refused_without_id(ask: Ask) -> bytes:
    return failure(ask, b"-32000", b'"refused"', rpc_id=b"null")


def page(_: Ask) -> bytes:
    return HTML


def nothing(_: Ask) -> bytes:
    return b""


STATUSES: dict[str, Steps] = {
    **{
        f"status-{code}-error": at(f"{code} X", body=refused)
        for code in "400 401 402 403 404 405 406 408 409 410 413 415 421 422 429 451 500 501 502 503 504 599".split()
    },
    **{f"status-{code}-error-without-id": at(f"{code} X", body=refused_without_id) for code in "400 404 413 503".split()},
    **{f"status-{code}-empty": at(f"{code} X", b"", nothing) for code in "400 404 500 503".split()},
    **{f"status-{code}-html": at(f"{code} X", b"content-type: text/html\r\n", page) for code in "403 404 502".split()},
    "status-400-result": at("400 Bad Request"),
    "status-500-json": at("500 X", body=lambda _: b'{"detail":"Internal Server Error"}'),
    "status-401-challenge": at("401 X", b"", nothing, b'www-authenticate: Bearer realm="x"\r\n'),
    "status-403-challenge": at("403 X", b"", nothing, b'www-authenticate: Bearer error="insufficient_scope", scope="a"\r\n'),
    "status-429-retry-after": at("429 X", body=refused, more=b"retry-after: 1\r\n"),
    "status-200-empty": at("200 OK", b"", nothing),
    "status-200-empty-json": at("200 OK", JSON, nothing),
    "status-201": at("201 Created"),
    "status-203": at("203 X"),
    "status-206": at("206 Partial Content"),
    "status-299": at("299 X"),
    "status-202-empty": at("202 Accepted", b"", nothing),
    "status-202-accepted": at("202 Accepted", b"content-type: text/plain\r\n", lambda _: b"Accepted"),
    "status-202-result": at("202 Accepted"),
    "status-204": lambda _: [b"HTTP/1.1 204 No Content\r\n\r\n"],
    "status-205": at("205 Reset Content", b"", nothing),
    "status-304": lambda _: [b"HTTP/1.1 304 Not Modified\r\n\r\n"],
    "reason-empty": lambda a: [http(reply(a), status=b"200 ")],
    "reason-latin-1": lambda a: [http(reply(a), status=b"200 tr\xe8s bien")],
}

TYPES: dict[str, Steps] = {
    "type-charset-utf-8": typed("application/json; charset=utf-8"),
    "type-charset-quoted": typed('application/json;charset="UTF-8"'),
    "type-charset-utf-16-but-utf-8": typed("application/json; charset=utf-16"),
    "type-charset-latin-1": lambda a: [http(said(a, b"caf\xc3\xa9"), JSON[:-2] + b"; charset=iso-8859-1\r\n")],
    "type-capitals": typed("Application/JSON"),
    "type-space": typed("  application/json  "),
    "type-problem-json": typed("application/problem+json"),
    "type-json-x": typed("application/json-x"),
    "type-text-json": typed("text/json"),
    "type-text-plain": typed("text/plain"),
    "type-html": at("200 OK", b"content-type: text/html\r\n", page),
    "type-octets": typed("application/octet-stream"),
    "type-none": at("200 OK", b""),
    "type-empty": at("200 OK", b"content-type:\r\n"),
    "type-twice": at("200 OK", JSON + JSON),
    "type-two": at("200 OK", JSON + b"content-type: text/plain\r\n"),
    "type-json-but-stream": at("200 OK", JSON, lambda a: event(reply(a))),
    "type-stream-but-json": at("200 OK", b"content-type: text/event-stream\r\n"),
    "type-stream-in-plain": at("200 OK", b"content-type: text/plain; x=text/event-stream\r\n", lambda a: event(reply(a))),
    "type-stream-capitals": at("200 OK", b"content-type: Text/Event-Stream\r\n", lambda a: event(reply(a))),
    "type-stream-charset": at("200 OK", b"content-type: text/event-stream; charset=utf-8\r\n", lambda a: event(reply(a))),
    "type-stream-and-json": at("200 OK", b"content-type: application/json, text/event-stream\r\n"),
}

FRAMINGS: dict[str, Steps] = {
    "chunked": lambda a: [chunked(), chunk(reply(a)), LAST],
    "chunked-1-byte": lambda a: [chunked(), *(chunk(reply(a)[i : i + 1]) for i in range(len(reply(a)))), LAST],
    "chunked-extension": lambda a: [chunked(), chunk(reply(a), b';a=b;c="d"'), LAST],
    "chunked-zeros": lambda a: [chunked(), b"000" + chunk(reply(a)), b"0000\r\n\r\n"],
    "chunked-trailer": lambda a: [chunked(), chunk(reply(a)), b"0\r\nx-sum: 1\r\nx-other: 2\r\n\r\n"],
    "chunked-capitals": lambda a: [
        b"HTTP/1.1 200 OK\r\n" + JSON + b"Transfer-Encoding: Chunked\r\n\r\n",
        chunk(reply(a)),
        LAST,
    ],
    "chunked-cut": lambda a: [chunked(), chunk(reply(a)[:-5]), "close"],
    "chunked-broken": lambda a: [chunked(), b"zz\r\n" + reply(a) + b"\r\n", "close"],
    "close-delimited": lambda a: [b"HTTP/1.1 200 OK\r\n" + JSON + b"connection: close\r\n\r\n" + reply(a), "close"],
    "close-delimited-unsaid": lambda a: [b"HTTP/1.1 200 OK\r\n" + JSON + b"\r\n" + reply(a), "close"],
    "length-slow": lambda a: [http(b"", length=len(reply(a))), 0.02, reply(a)[:20], 0.02, reply(a)[20:]],
    "length-short-of": lambda a: [http(reply(a), length=len(reply(a)) + 10), "close"],
    "length-twice": lambda a: [http(reply(a), JSON + b"content-length: %d\r\n" % len(reply(a)))],
    "length-twice-different": lambda a: [http(reply(a), JSON + b"content-length: 3\r\n"), "close"],
    "length-and-chunked": lambda a: [chunked(JSON + b"content-length: 5\r\n"), chunk(reply(a)), LAST, "close"],
    "length-zero": lambda a: [http(b"")],
    "length-broken": lambda a: [b"HTTP/1.1 200 OK\r\n" + JSON + b"content-length: many\r\n\r\n" + reply(a), "close"],
    "http-1.0": lambda a: [http(reply(a), version=b"HTTP/1.0"), "close"],
    "http-1.0-close": lambda a: [b"HTTP/1.0 200 OK\r\n" + JSON + b"\r\n" + reply(a), "close"],
    "http-1.0-keep-alive": lambda a: [http(reply(a), JSON + b"connection: keep-alive\r\n", version=b"HTTP/1.0")],
    "close-announced": lambda a: [http(reply(a), JSON + b"connection: close\r\n"), "close"],
    "closed-unannounced": lambda a: [http(reply(a)), "close"],
    "closed-without-a-byte": lambda _: ["close"],
    "reset-without-a-byte": lambda _: ["abort"],
    "reset-in-body": lambda a: [http(b"", length=500), reply(a)[:20], 0.02, "abort"],
    "interim-100": lambda a: [b"HTTP/1.1 100 Continue\r\n\r\n" + http(reply(a))],
    "interim-103": lambda a: [b"HTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\n", 0.02, http(reply(a))],
    "interim-102-twice": lambda a: [
        b"HTTP/1.1 102 X\r\n\r\n",
        0.02,
        b"HTTP/1.1 102 X\r\n\r\n",
        http(reply(a)),
    ],
    "head-1-byte": lambda a: [*(http(reply(a))[i : i + 1] for i in range(60)), http(reply(a))[60:]],
    "head-folded": lambda a: [http(reply(a), JSON + b"x-folded: a\r\n b\r\n")],
    "head-bare-lf": lambda a: [http(reply(a)).replace(b"\r\n", b"\n"), "close"],
    "head-8-kib": lambda a: [http(reply(a), JSON + b"x-long: " + b"h" * 8000 + b"\r\n")],
    "head-90-fields": lambda a: [http(reply(a), JSON + b"".join(b"x-%d: v\r\n" % i for i in range(90)))],
    "head-cookies": lambda a: [http(reply(a), JSON + b"set-cookie: a=1\r\nset-cookie: b=2\r\n")],
    "head-latin-1": lambda a: [http(reply(a), JSON + b"x-name: Z\xfcrich\r\n")],
    "head-cached": lambda a: [http(reply(a), JSON + b'etag: "a"\r\ncontent-digest: sha-256=:AAAA:\r\n')],
    "head-connection-names": lambda a: [http(reply(a), JSON + b"connection: x-hop\r\nx-hop: 1\r\nkeep-alive: timeout=5\r\n")],
    "head-no-colon": lambda a: [b"HTTP/1.1 200 OK\r\nbroken\r\n" + http(reply(a))[17:], "close"],
    "not-http": lambda _: [b"SSH-2.0-OpenSSH_9\r\n", "close"],
}

CODINGS: dict[str, Steps] = {
    "gzip": coded("gzip", packed),
    "gzip-capitals": coded("GZIP", packed),
    "x-gzip": coded("x-gzip", packed),
    "gzip-chunked": lambda a: [
        chunked(JSON + b"content-encoding: gzip\r\n"),
        *(chunk(packed(reply(a))[i : i + 7]) for i in range(0, len(packed(reply(a))), 7)),
        LAST,
    ],
    "gzip-1-mib": lambda a: [http(packed(said(a, b"z" * 1_000_000)), JSON + b"content-encoding: gzip\r\n")],
    "gzip-if-asked": lambda a: coded("gzip", packed)(a) if "gzip" in a.headers["accept-encoding"] else [http(reply(a))],
    "gzip-twice": coded("gzip, gzip", lambda body: packed(packed(body))),
    "gzip-two-members": coded("gzip", lambda body: packed(body[:30]) + packed(body[30:])),
    "gzip-trailing-garbage": coded("gzip", lambda body: packed(body) + b"garbage"),
    "gzip-cut": coded("gzip", lambda body: packed(body)[:-6]),
    "gzip-only-in-name": coded("gzip", lambda body: body),
    "gzip-error": lambda a: [http(packed(refused(a)), JSON + b"content-encoding: gzip\r\n", status=b"400 X")],
    "deflate-zlib": coded("deflate", zlib.compress),
    "deflate-raw": coded("deflate", raw_deflate),
    "brotli": coded("br", brotli.compress),
    "zstd": coded("zstd", zstandard.compress),
    "identity": coded("identity", lambda body: body),
    "coding-unknown": coded("aes128gcm", lambda body: body),
    "coding-empty": coded("", lambda body: body),
}


def moved(status: str, location: str) -> Steps:
    """A redirect; ``{here}`` in the location is the fixture's own address."""

    def steps(ask: Ask) -> list[Step]:
        if "again=" in ask.headers[":path"]:
            return [http(reply(ask))]
        place = location.format(here="http://" + ask.headers["host"], name=ask.name)
        return [http(b"", b"location: " + place.encode() + b"\r\n", status=status.encode())]

    return steps


REDIRECTS: dict[str, Steps] = {
    "redirect-307": moved("307 T", "/mcp?again={name}"),
    "redirect-308": moved("308 P", "/mcp?again={name}"),
    "redirect-307-whole": moved("307 T", "{here}/mcp?again={name}"),
    "redirect-302": moved("302 F", "/mcp?again={name}"),
    "redirect-303": moved("303 S", "/mcp?again={name}"),
    "redirect-elsewhere": moved("307 T", "http://127.0.0.1:9/mcp"),
    "redirect-without-location": lambda _: [http(b"", b"", status=b"307 T")],
    "redirect-no-scheme": moved("307 T", "//127.0.0.1:9/mcp"),
}

LARGE: dict[str, Steps] = {
    "json-1.5-mib": lambda a: [http(said(a, b"j" * (3 << 19)))],
    "json-5-mib": lambda a: [http(said(a, b"j" * (5 << 20)))],
    "json-5-mib-chunked": lambda a: [chunked(), *[chunk(part) for part in _parts(said(a, b"j" * (5 << 20)), 65536)], LAST],
    "json-2-mib-image": lambda a: [
        http(reply(a, b'"content":[{"type":"image","mimeType":"image/png","data":"%s"}]' % (b"AAAA" * (1 << 19))))
    ],
    "json-1-mib-structured": lambda a: [http(reply(a, TEXT + b',"structuredContent":{"v":[' + b"1.50," * 200_000 + b"0]}"))],
}


def _parts(data: bytes, size: int) -> list[bytes]:
    return [data[i : i + size] for i in range(0, len(data), size)]


SILENT = frozenset("status-202-empty status-202-accepted status-202-result type-stream-but-json".split())

FATAL = frozenset(
    "chunked-cut chunked-broken length-short-of length-twice-different length-and-chunked length-broken closed-without-a-byte "
    "reset-without-a-byte reset-in-body head-no-colon head-bare-lf not-http gzip-cut gzip-only-in-name "
    "gzip-trailing-garbage gzip-twice zstd brotli deflate-raw closed-unannounced".split()
)

SHAPES = [
    Shape(name, steps, is_silent=name in SILENT, is_fatal=name in FATAL)
    for group in (STATUSES, TYPES, FRAMINGS, CODINGS, REDIRECTS, LARGE)
    for name, steps in group.items()
]
