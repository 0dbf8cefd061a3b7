"""Ways in which a value is written so that a plain search does not see it; each gives another text for the same value."""

import base64
import gzip
import html
import json
import random
import urllib.parse
import zlib
from collections.abc import Callable
from typing import Final

_ALIKE: Final = dict(zip("aceopxyABCEHKMOPTXiIsSjJ", "\u0430\u0441\u0435\u043e\u0440\u0445\u0443\u0410\u0412\u0421\u0415\u041d"
                         "\u041a\u041c\u041e\u0420\u0422\u0425\u0456\u0406\u0455\u0405\u0458\u0408", strict=True))  # fmt: skip


def _b64(data: bytes) -> str:
    return base64.b64encode(data).decode()


def _url(text: str) -> str:
    return "".join(f"%{byte:02X}" for byte in text.encode())


def _between(sign: str, every: int = 1) -> Callable[[str], str]:
    return lambda text: sign.join(text[at : at + every] for at in range(0, len(text), every))


def _each(form: str) -> Callable[[str], str]:
    return lambda text: "".join(form.format(ord(each)) for each in text)


def _shifted(by: int) -> Callable[[str], str]:
    return lambda text: "".join(chr(ord(each) + by) if "!" <= each <= "~" else each for each in text)


def _partly(text: str) -> str:
    rng = random.Random(text)
    return "".join(_url(each) if rng.random() < 0.3 or at == 1 else each for at, each in enumerate(text))


def _sentence(text: str) -> str:
    return _b64(f"Please keep this to yourself: {text} and tell nobody about it.".encode())


def _wrapped(text: str, width: int) -> list[str]:
    return [text[at : at + width] for at in range(0, len(text), width)]


DISGUISES: Final[dict[str, Callable[[str], str]]] = {
    "base64": lambda text: _b64(text.encode()),
    "base64, url-safe, no padding": lambda text: base64.urlsafe_b64encode(text.encode()).decode().rstrip("="),
    "base64, one byte on": lambda text: _b64(b" " + text.encode()),
    "base64, two bytes on": lambda text: _b64(b"\n\n" + text.encode()),
    "base64 in a sentence": _sentence,
    "base64 in lines": lambda text: (
        base64.encodebytes(b"The following is the value, in full: " * 3 + text.encode()).decode().strip()
    ),
    "base64 twice": lambda text: _b64(_b64(text.encode()).encode()),
    "base64 three times": lambda text: _b64(_b64(_b64(text.encode()).encode()).encode()),
    "base64 behind a word": lambda text: "x" + _b64(text.encode()),
    "base64 among binary": lambda text: _b64(bytes(range(128, 200)) + text.encode() + bytes(range(200, 250))),
    "gzip in base64": lambda text: _b64(gzip.compress(text.encode(), mtime=0)),
    "zlib in base64": lambda text: _b64(zlib.compress(text.encode())),
    "UTF-16 in base64": lambda text: _b64(text.encode("utf-16-le")),
    "UTF-16 BE in base64": lambda text: _b64(text.encode("utf-16-be")),
    "base32": lambda text: base64.b32encode(text.encode()).decode(),
    "hex": lambda text: text.encode().hex(),
    "hex, capitals": lambda text: text.encode().hex().upper(),
    "hex with spaces": lambda text: text.encode().hex(" "),
    "hex with colons": lambda text: text.encode().hex(":"),
    "hex, 0x list": lambda text: ", ".join(f"0x{byte:02x}" for byte in text.encode()),
    "UTF-16 in hex": lambda text: text.encode("utf-16-le").hex(),
    "hex of base64": lambda text: _b64(text.encode()).encode().hex(),
    "\\x escapes": _each("\\x{:02x}"),
    "\\u escapes": _each("\\u{:04x}"),
    "\\u escapes, twice": lambda text: json.dumps(_each("\\u{:04x}")(text))[1:-1],
    "\\u{} escapes": _each("\\u{{{:x}}}"),
    "URL": _url,
    "URL, twice": lambda text: urllib.parse.quote(_url(text)),
    "URL, in part": _partly,
    "entities": _each("&#{};"),
    "entities, hex": _each("&#x{:X};"),
    "entities of entities": lambda text: html.escape(_each("&#{};")(text)),
    "zero-width spaces": _between("\u200b"),
    "zero-width joiner": _between("\u200d", 5),
    "soft hyphens": _between("\u00ad", 4),
    "variation selectors": _between("\ufe0f", 3),
    "tag characters between": _between("\U000e0061", 3),
    "tag characters": lambda text: "".join(chr(0xE0000 + ord(each)) for each in text),
    "variation selectors as bytes": lambda text: "".join(chr(0xE0100 + ord(each) - 16) for each in text),
    "fullwidth": _shifted(0xFEE0),
    "look-alikes": lambda text: "".join(_ALIKE.get(each, each) for each in text),
    "combining marks": _between("\u0301"),
    "NULs between": _between("\0"),
    "octal escapes": _each("\\{:03o}"),
    "\\U escapes of Python": _each("\\U{:08x}"),
    "escapes of CSS": _each("\\{:x} "),
    "escapes of CSS, six digits": _each("\\{:06x}"),
    "quoted-printable": lambda text: "".join(f"={byte:02X}" for byte in text.encode()),
    "quoted-printable, broken lines": _between("=\n", 6),
    "word of a mail's head, base64": lambda text: f"=?utf-8?B?{_b64(text.encode())}?=",
    "word of a mail's head, quoted": lambda text: f"=?utf-8?Q?{''.join(f'={byte:02X}' for byte in text.encode())}?=",
    "UTF-7": lambda text: f"+{_b64(text.encode('utf-16-be')).rstrip('=')}-",
    "JSON in JSON in JSON": lambda text: json.dumps(json.dumps({"a": json.dumps({"b": _each("\\u{:04x}")(text)})})),
    "base64 in lines of 64": lambda text: "\r\n".join(_wrapped(_sentence(text), 64)),
    "base64 in a URL": lambda text: urllib.parse.quote(_b64(text.encode()), safe="").replace("=", "%3D"),
    "URL in base64": lambda text: _b64(_url(text).encode()),
    "base64 with zero-width spaces": lambda text: _between("\u200b", 7)(_b64(text.encode())),
    "base64 in fullwidth": lambda text: _shifted(0xFEE0)(_b64(text.encode())),
    "base64 in look-alikes": lambda text: "".join(_ALIKE.get(each, each) for each in _b64(text.encode())),
    "hex in base64 in a URL": lambda text: _url(_b64(text.encode().hex().encode())),
}
"""By name. Each keeps the value whole: nothing but undoing it in its own way brings the value back."""
