"""Text without credentials, and what the detectors find in it all the same."""

import base64
import hashlib
import json
import random
import time
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final

from sidecar.detect import Engine, preview, walk
from sidecar.limits import KIB, MIB

_CLASSES: Final = {
    ".py": "code", ".pyi": "code", ".js": "code", ".mjs": "code", ".ts": "code", ".tsx": "code", ".c": "code", ".h": "code",
    ".cpp": "code", ".hpp": "code", ".sql": "code", ".sh": "code", ".css": "styles", ".map": "source maps", ".md": "docs",
    ".rst": "docs", ".txt": "docs", ".html": "html", ".json": "json", ".jsonl": "json", ".yaml": "yaml", ".yml": "yaml",
    ".toml": "yaml", ".cfg": "yaml", ".ini": "yaml", ".xml": "xml", ".svg": "xml", ".csv": "tables", ".tsv": "tables",
    ".log": "logs", ".pem": "certificates", ".crt": "certificates", ".lock": "locks", ".po": "words",
}  # fmt: skip
_MESSAGE_CHARS: Final = 64 * KIB
_FILE_BYTES_MAX: Final = 4 * MIB
_AIM_PER_MB: Final = 0.5


def count(folders: Iterable[Path], mib: int, shows: bool, kinds: str = "secrets.") -> int:
    """Print findings of kinds that begin so per megabyte, by class of text and profile; 0 when under one in two, else 1."""
    engine = Engine()
    sizes: Counter[str] = Counter()
    found: dict[tuple[str, bool], Counter[str]] = defaultdict(Counter)
    spent = 0.0
    for name, kind, text in (*_generated(6 * MIB), *_files(folders, (mib - 6) * MIB)):
        sizes[kind] += len(text)
        for at in range(0, len(text), _MESSAGE_CHARS):
            texts = walk({"content": [{"type": "text", "text": text[at : at + _MESSAGE_CHARS]}]})
            start = time.thread_time()
            spans = engine.scan(texts).spans
            spent += time.thread_time() - start
            for span in spans:
                if span.kind.startswith(kinds):
                    found[kind, span.is_strict_only][span.kind] += 1
                    if shows:
                        print(f"{name}:{text.count(chr(10), 0, at + span.start) + 1}: {span.kind} {preview(span)}"
                              f"{' (strict)' if span.is_strict_only else ''}")  # fmt: skip
    return _report(sizes, found, spent)


def _report(sizes: Counter[str], found: dict[tuple[str, bool], Counter[str]], spent: float) -> int:
    print("| text | MB | findings a MB, default | strict adds | of kind |\n|---|---|---|---|---|")
    for kind, size in sizes.most_common():
        mine, strict = found[kind, False], found[kind, True]
        kinds = ", ".join(f"{each.partition('.')[2]} {number}" for each, number in (mine + strict).most_common(6))
        mb = size / 1e6
        print(f"| {kind} | {mb:.1f} | {mine.total() / mb:.2f} | {strict.total() / mb:.2f} | {kinds} |")
    total = sum(sizes.values()) / 1e6
    default = sum(each.total() for (_, is_strict), each in found.items() if not is_strict)
    strict_only = sum(each.total() for (_, is_strict), each in found.items() if is_strict)
    print(f"| all | {total:.1f} | {default / total:.2f} | {strict_only / total:.2f} | {total / spent:.0f} MB/s, one thread |")
    return 0 if default / total <= _AIM_PER_MB else 1


def _files(folders: Iterable[Path], most: int) -> Iterator[tuple[str, str, str]]:
    """Files of known endings, in an order by hash of their path below the folder, up to ``most`` characters."""
    files = [(file, folder) for folder in folders for file in folder.rglob("*") if file.suffix in _CLASSES]
    files.sort(key=lambda pair: hashlib.sha256(str(pair[0].relative_to(pair[1])).encode()).digest())
    seen: set[bytes] = set()
    for file, folder in files:
        if not file.is_file() or file.is_symlink() or file.stat().st_size > _FILE_BYTES_MAX:
            continue
        text = file.read_text("utf-8", "replace")
        digest = hashlib.sha256(text.encode("utf-8", "replace")).digest()
        if digest in seen:
            continue
        seen.add(digest)
        yield str(file.relative_to(folder)), _CLASSES[file.suffix], text
        most -= len(text)
        if most <= 0:
            return


def _generated(size: int) -> Iterator[tuple[str, str, str]]:
    """Answers as servers give them, full of values that look random and open nothing; the same on every machine."""
    rng = random.Random(20)
    for kind, make in (("records", _record), ("access logs", _log_line), ("pictures", _picture)):
        lines: list[str] = []
        left = size // 3
        while left > 0:
            line = make(rng)
            lines.append(line)
            left -= len(line) + 1
        yield f"({kind})", kind, "\n".join(lines)


def _some(rng: random.Random, count: int, alphabet: str = "0123456789abcdef") -> str:
    return "".join(rng.choices(alphabet, k=count))


_WORDS: Final = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"


def _uuid(rng: random.Random) -> str:
    return "-".join(_some(rng, count) for count in (8, 4, 4, 4, 12))


def _record(rng: random.Random) -> str:
    cursor = base64.b64encode(json.dumps({"id": rng.randrange(10**9), "at": rng.randrange(10**10)}).encode()).decode()
    members: dict[str, object] = {name: _uuid(rng) for name in ("id", "idempotencyKey", "session_id", "progressToken")}
    members |= {name: _some(rng, 40, _WORDS) for name in ("cursor", "partitionKey", "csrfToken", "sort_key", "keyId")}
    members |= {name: _some(rng, 48, _WORDS + "-_") for name in ("nextPageToken", "sync_token", "page_token")}
    members |= {name: _some(rng, 40) for name in ("commit", "cache_key", "sha1", "object_key", "fingerprint")}
    members |= dict.fromkeys(("nextCursor", "continuationToken", "startingAfter"), cursor)
    members |= {name: base64.b64encode(rng.randbytes(64)).decode() for name in ("public_key", "signedHash")}
    members |= {
        "toolCallId": f"call_{_some(rng, 24, _WORDS)}",
        "etag": f'W/"{_some(rng, 32)}"',
        "digest": f"sha256:{_some(rng, 64)}",
        "integrity": f"sha512-{base64.b64encode(rng.randbytes(64)).decode()}",
        "traceparent": f"00-{_some(rng, 32)}-{_some(rng, 16)}-01",
        "url": f"https://cdn.example.com/{_some(rng, 40)}/{_some(rng, 12, _WORDS)}.png?v={_some(rng, 8)}",
        "i18nKey": "settings.account.token.title",
        "tokens": rng.randrange(10**5),
        "secretName": f"db-{_some(rng, 6)}",
        "className": f"css-{_some(rng, 8, _WORDS)} text-primary",
    }
    return json.dumps(members)


def _log_line(rng: random.Random) -> str:
    return " ".join(
        (
            f"2026-11-{rng.randrange(1, 28):02}T10:{rng.randrange(60):02}:07Z level=info request_id={_uuid(rng)}",
            f'trace={_some(rng, 32)} path="/v1/items/{_some(rng, 24)}" token_count={rng.randrange(9000)}',
            f"key=user:{rng.randrange(10**7)}:profile image=registry.example.com/app@sha256:{_some(rng, 64)}",
            f'msg="rotated key {_some(rng, 16)} of store" took={rng.random():.6f}s',
        )
    )


def _picture(rng: random.Random) -> str:
    return f'<img alt="chart" src="data:image/png;base64,iVBORw0KGgo{base64.b64encode(rng.randbytes(30_000)).decode()}">'
