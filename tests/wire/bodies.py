"""JSON that answers a call, from the ordinary to what two parsers read differently (mcp-wire §2, §10, §11, §13)."""

import json
from collections.abc import Callable

from tests.wire.parts import TEXT, Ask, failure, reply, result, said, structured

Body = Callable[[Ask], bytes]

PNG = b"iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
MIB = 1 << 20


def block(members: bytes) -> Body:
    return lambda ask: reply(ask, b'"content":[{%s}]' % members)


def number(digits: bytes) -> Body:
    return lambda ask: structured(ask, b'{"n":%s}' % digits)


def text(inside: bytes) -> Body:
    return lambda ask: said(ask, inside)


def members(more: bytes) -> Body:
    return lambda ask: reply(ask, more)


def with_id(rpc_id: bytes) -> Body:
    return lambda ask: b'{"jsonrpc":"2.0","id":%s,"result":%s}' % (rpc_id, result(ask))


def error(code: bytes, message: bytes = b'"no"', more: bytes = b"", rpc_id: bytes | None = None) -> Body:
    return lambda ask: failure(ask, code, message, more, rpc_id)


def pretty(ask: Ask) -> bytes:
    return b"\n \t" + json.dumps(json.loads(reply(ask)), indent="\t").encode().replace(b"\n", b"\r\n") + b"\r\n \n"


def around(before: bytes, after: bytes) -> Body:
    return lambda ask: before + reply(ask) + after


SIZES: dict[str, Body] = {
    "plain": reply,
    "content-empty": members(b'"content":[]'),
    "text-empty": text(b""),
    "text-1-byte": text(b"x"),
    "text-64-kib": text(b"y" * 65536),
    "text-million-escapes": text(rb"\n" * (MIB // 4)),
}

SPELLING: dict[str, Body] = {
    "pretty-crlf": pretty,
    "key-order": lambda a: b'{"result":%s,"id":%s,"jsonrpc":"2.0"}' % (result(a), a.id),
    "keys-escaped": lambda a: b'{"js\\u006fnrpc":"2.0","\\u0069d":%s,"r\\u0065sult":%s}' % (a.id, result(a)),
    "slash-escaped": text(rb"\/ \" \\ \b\f\n\r\t"),
    "unicode-raw": text("é e\u0301 🚲 👩‍👩‍👧 \u2028\u2029 \u0085 \x7f \ufeff \u202e \ufffd \U0010ffff".encode()),
    "unicode-escaped": text(rb"\u00e9 \ud83d\udeb2 \u2028 \u0085 \ufeff \uFFFF"),
    "nul-escaped": text(rb"a\u0000b"),
    "surrogate-high": text(rb"a\ud800b"),
    "surrogate-low": text(rb"a\udc00b"),
    "surrogates-swapped": text(rb"a\ude00\ud83db"),
    "utf8-invalid": text(b"a\xffb"),
    "utf8-cut": text(b"a\xf0\x9f\x9a"),
    "utf8-overlong": text(b"a\xc0\x80b"),
    "utf8-surrogate": text(b"a\xed\xa0\x80b"),
    "control-raw": text(b"a\x01b"),
    "tab-raw": text(b"a\tb"),
    "bom": around(b"\xef\xbb\xbf", b""),
    "utf-16": lambda a: reply(a).decode().encode("utf-16"),
    "trailing-space": around(b"", b" \r\n\t\n"),
    "trailing-garbage": around(b"", b"garbage"),
    "trailing-nul": around(b"", b"\0"),
    "trailing-comma": lambda a: reply(a)[:-1] + b",}",
    "single-quotes": lambda a: reply(a).replace(b'"', b"'"),
    "two-objects": lambda a: reply(a) + reply(a),
    "json-cut": lambda a: reply(a)[:-9],
    "json-null": lambda _: b"null",
    "json-string": lambda _: b'"hello"',
    "json-number": lambda _: b"1",
    "object-empty": lambda _: b"{}",
    "array-empty": lambda _: b"[]",
    "array-of-one": around(b"[", b"]"),
    "array-of-two": lambda a: b"[" + reply(a) + b',{"jsonrpc":"2.0","method":"notifications/tools/list_changed"}]',
}

NUMBERS: dict[str, Body] = {
    f"number-{name}": number(digits)
    for name, digits in {
        "1e400": b"1e400",
        "minus-1e400": b"-1e400",
        "1e-400": b"1e-400",
        "minus-zero": b"-0.0",
        "minus-zero-int": b"-0",
        "one-point-zero": b"1.0",
        "nineteen-places": b"1.0000000000000000001",
        "17-digits": b"0.10000000000000001",
        "23-digits": b"12345678901234567890123",
        "400-digits": b"9" * 400,
        "5000-digits": b"9" * 5000,
        "above-2-53": b"9007199254740993",
        "uint64": b"18446744073709551615",
        "exponent": b"1E+2",
        "leading-zero": b"01",
        "plus": b"+1",
        "nan": b"NaN",
        "infinity": b"-Infinity",
        "hex": b"0x10",
    }.items()
}

KEYS: dict[str, Body] = {
    "duplicate-in-content": lambda a: structured(a, b'{"x":1,"x":2}'),
    "duplicate-id": lambda a: b'{"id":%s,' % a.id + reply(a)[1:],
    "duplicate-result": lambda a: b'{"result":{"content":[]},' + reply(a)[1:],
    "duplicate-escaped": lambda a: structured(a, b'{"x":1,"\\u0078":2}'),
    "proto-key": lambda a: structured(a, b'{"__proto__":{"isAdmin":true},"constructor":1}'),
    "empty-key": lambda a: structured(a, b'{"":1,"\\u0000":2}'),
    "envelope-unknown": lambda a: reply(a)[:-1] + b',"extra":1}',
    "envelope-misspelt": lambda a: reply(a)[:-1] + b',"ID":1}',
    "result-and-error": lambda a: reply(a)[:-1] + b',"error":{"code":1,"message":"no"}}',
    "result-and-method": lambda a: reply(a)[:-1] + b',"method":"ping"}',
    "jsonrpc-missing": lambda a: b'{"id":%s,"result":%s}' % (a.id, result(a)),
    "jsonrpc-1.0": lambda a: reply(a).replace(b'"2.0"', b'"1.0"'),
    "deep-60": lambda a: structured(a, b'{"d":' + b"[" * 60 + b"]" * 60 + b"}"),
    "deep-180": lambda a: structured(a, b'{"d":' + b"[" * 180 + b"]" * 180 + b"}"),
    "deep-10000": lambda a: structured(a, b'{"d":' + b"[" * 10_000 + b"]" * 10_000 + b"}"),
    "keys-20000": lambda a: structured(a, json.dumps({f"k{i}": i for i in range(20_000)}).encode()),
    "blocks-2000": lambda a: reply(a, b'"content":[' + b",".join([b'{"type":"text","text":"b"}'] * 2000) + b"]"),
}

RESULTS: dict[str, Body] = {
    "member-unknown": members(TEXT + b',"whatever":{"a":[1,2.50,null]}'),
    "meta": members(TEXT + b',"_meta":{"com.example/x":{"y":1.10},"z":null}'),
    "is-error": members(TEXT + b',"isError":true'),
    "is-error-false": members(TEXT + b',"isError":false'),
    "is-error-string": members(TEXT + b',"isError":"true"'),
    "is-error-null": members(TEXT + b',"isError":null'),
    "content-missing": members(b'"other":1'),
    "content-null": members(b'"content":null'),
    "content-string": members(b'"content":"hello"'),
    "structured-object": lambda a: structured(a, b'{"a":{"b":[true,false,null,"x",1]}}'),
    "structured-array": lambda a: structured(a, b"[1,2,3]"),
    "structured-null": lambda a: structured(a, b"null"),
    "structured-only": members(b'"structuredContent":{"a":1}'),
    "result-null": lambda a: b'{"jsonrpc":"2.0","id":%s,"result":null}' % a.id,
    "result-array": lambda a: b'{"jsonrpc":"2.0","id":%s,"result":[1]}' % a.id,
    "result-string": lambda a: b'{"jsonrpc":"2.0","id":%s,"result":"x"}' % a.id,
    "result-empty": lambda a: b'{"jsonrpc":"2.0","id":%s,"result":{}}' % a.id,
    "block-image": block(b'"type":"image","data":"%s","mimeType":"image/png"' % PNG),
    "block-audio": block(b'"type":"audio","data":"UklGRg==","mimeType":"audio/wav"'),
    "block-base64-broken": block(b'"type":"image","data":"***","mimeType":"image/png"'),
    "block-link": block(b'"type":"resource_link","uri":"file:///a%20b","name":"a b","size":12'),
    "block-resource-text": block(b'"type":"resource","resource":{"uri":"x://1","text":"t","mimeType":"text/plain"}'),
    "block-resource-blob": block(b'"type":"resource","resource":{"uri":"x://1","blob":"AAEC"}'),
    "block-annotations": block(b'"type":"text","text":"t","annotations":{"audience":["user"],"priority":0.50}'),
    "block-meta": block(b'"type":"text","text":"t","_meta":{"k":1}'),
    "block-unknown": block(b'"type":"hologram","text":"t"'),
    "block-json-text": text(rb"{\"n\":1.0,\"s\":\"x\"}"),
}

IDS: dict[str, Body] = {
    "id-string": lambda a: with_id(b'"%s"' % a.id.strip(b'"'))(a),
    "id-float": lambda a: with_id(b"%s.0" % a.id.strip(b'"'))(a),
    "id-exponent": lambda a: with_id(b"%se0" % a.id.strip(b'"'))(a),
    "id-null": with_id(b"null"),
    "id-missing": lambda a: b'{"jsonrpc":"2.0","result":%s}' % result(a),
    "id-wrong": with_id(b"987654"),
    "id-wrong-string": with_id(b'"no-such-id"'),
    "id-true": with_id(b"true"),
    "id-array": lambda a: with_id(b"[%s]" % a.id)(a),
    "id-23-digits": with_id(b"12345678901234567890123"),
}

ERRORS: dict[str, Body] = {
    f"error-{code}": error(code.encode())
    for code in "-32700 -32600 -32601 -32602 -32603 -32000 -32001 -32002 -32020 -32022 -32800 -32042 0 -1 1403 99999999".split()
} | {
    "error-id-null": error(b"-32000", rpc_id=b"null"),
    "error-id-missing": lambda _: b'{"jsonrpc":"2.0","error":{"code":-32000,"message":"no"}}',
    "error-id-wrong": error(b"-32000", rpc_id=b"987654"),
    "error-id-string": lambda a: failure(a, b"-32000", rpc_id=b'"%s"' % a.id.strip(b'"')),
    "error-data": error(b"-32000", more=b',"data":{"a":[1.0,null,"\\u00e9"]}'),
    "error-data-null": error(b"-32000", more=b',"data":null'),
    "error-data-long": error(b"-32000", more=b',"data":"' + b"d" * 100_000 + b'"'),
    "error-url-elicitation": error(
        b"-32042",
        more=b',"data":{"elicitations":[{"mode":"url","elicitationId":"e1","url":"http://127.0.0.1/x","message":"open"}]}',
    ),
    "error-code-float": error(b"-32000.5"),
    "error-code-string": error(b'"E_NO"'),
    "error-code-missing": lambda a: b'{"jsonrpc":"2.0","id":%s,"error":{"message":"no"}}' % a.id,
    "error-message-empty": error(b"-32000", b'""'),
    "error-message-null": error(b"-32000", b"null"),
    "error-message-unicode": error(b"-32000", '"ü🚲\u2028"'.encode()),
    "error-member-unknown": error(b"-32000", more=b',"stack":"here"'),
    "error-null": lambda a: b'{"jsonrpc":"2.0","id":%s,"error":null}' % a.id,
    "error-string": lambda a: b'{"jsonrpc":"2.0","id":%s,"error":"no"}' % a.id,
}

BODIES: dict[str, Body] = {**SIZES, **SPELLING, **NUMBERS, **KEYS, **RESULTS, **IDS, **ERRORS}

SILENT = frozenset(
    "id-wrong id-wrong-string id-23-digits error-id-missing error-id-wrong error-id-null array-empty result-and-method".split()
)
"""To these, as the body of a response, some client says nothing."""

SILENT_IN_STREAM = SILENT | frozenset(
    "id-null id-missing id-true id-array json-null json-string json-number object-empty "
    "control-raw tab-raw bom utf-16 trailing-garbage trailing-nul trailing-comma single-quotes two-objects json-cut "
    "array-of-one array-of-two number-leading-zero number-plus number-nan number-infinity number-hex envelope-unknown "
    "envelope-misspelt result-and-error jsonrpc-missing jsonrpc-1.0 result-null result-array result-string "
    "error-code-float error-code-string error-code-missing error-message-null error-null error-string".split()
)
"""To these, as an event, some client says nothing: it takes the event for none and goes on listening."""
