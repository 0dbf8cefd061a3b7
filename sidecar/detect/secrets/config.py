"""Credentials in configuration files, headers and command lines, whoever issued them."""

import base64
import re
from typing import Final

from sidecar.detect.kinds import PLACEHOLDER, Candidate, Detector
from sidecar.detect.secrets.credential_context import entropy, is_drawn

_QUOTE: Final = r"""["'`\\]{0,3}"""
_VARIABLE: Final = re.compile(r"[$%<{\[(]|\\\[|^\W*$")
_WORDS: Final = re.compile(
    r"(?i)(?:my|your|the|some|test|user|admin|api)?[_-]?(?:pass(?:word|wd)?|pwd?|secret|token|test|key|yyy|bar)\d?"
)

_KIND: Final = rf"""kind{_QUOTE}\s{{0,20}}[:\n]\s{{0,20}}{_QUOTE}secret\b"""
_DATA: Final = rf"""\bdata{_QUOTE}\s*[:\n]\s*\{{?\s*(?:#[^\n]*\n\s*)*"""
_KEY: Final = rf"""{_QUOTE}[0-9A-Za-z._-]+{_QUOTE}[ ]*[:\n]\s*(?:[|>]-?\s+)?{_QUOTE}"""
_NEXT: Final = rf"""{_QUOTE}(?:,\s*|(?:\n[ \t]+#[^\n]*)*\n[ \t]+|\\n +)"""
_ENTRIES: Final = rf"""[0-9A-Za-z+/]{{6,}}={{0,2}}(?:{_NEXT}{_KEY}[0-9A-Za-z+/]{{6,}}={{0,2}})*"""
_SAME: Final = r"(?:[^-]|-[^-]|--[^-])*?"
"""Up to the border to the next document."""
_CURL_USER: Final = r"""(?:-u|--user)[ =]{0,3}["'\\]{0,2}[^\s:"'\\]{0,100}:["'\\]{0,2}"""
_HEADER: Final = (
    r"""(?i)(?:-H|--header)[ =]{1,4}["'\\]{0,2}(?:authorization|[a-z-]{0,30}(?:api-?key|token|auth|secret)[a-z-]{0,20}):"""
    r"\s{0,4}(?:[a-z-]{2,20} )?"
)


def _holds_text(candidate: Candidate) -> bool:
    """The entries of a Kubernetes secret are base64 of something; only the first is tried."""
    first = re.match(r"[0-9A-Za-z+/]+={0,2}", candidate.value)
    if first is None or len(first[0]) % 4 or PLACEHOLDER.search(first[0]):
        return False
    return len(base64.b64decode(first[0]).strip()) >= 4


def _is_password(candidate: Candidate) -> bool:
    """No variable, no word that documentation writes, not the user's own name again."""
    value = candidate.value
    user = re.split(r"[\s'\"=\\]", candidate.before.rstrip(":"))[-1]
    is_word = _WORDS.fullmatch(value) or value.lower() == user.lower() or len(set(value)) < 4
    return not (is_word or PLACEHOLDER.search(value) or _VARIABLE.search(value))


def _is_header_value(candidate: Candidate) -> bool:
    """A token in a header: drawn at random, or user and password in base64 (RFC 7617)."""
    value = candidate.value
    if candidate.before.rstrip()[-5:].lower() == "basic":
        try:
            return b":" in base64.b64decode(value + "=" * (-len(value) % 4), validate=True)
        except ValueError:
            return False
    return is_drawn(value) and entropy(value) > 2.9


def _is_login(candidate: Candidate) -> bool:
    """``user:password`` in base64, as registries take it."""
    try:
        user, colon, password = base64.b64decode(candidate.value, validate=True).partition(b":")
    except ValueError:
        return False
    return bool(user and colon and password) and (user + password).isascii()


def _is_key_material(candidate: Candidate) -> bool:
    return is_drawn(candidate.value) and entropy(candidate.value) > 3.2


DETECTORS: Final[tuple[Detector, ...]] = (
    Detector(
        "secrets.kubernetes-secret",
        "the values of a Kubernetes Secret, in YAML or JSON; not of kinds that only refer to one",
        prefilter=f"(?i){_KIND}",
        pattern=f"(?i){_KIND}{_SAME}{_DATA}{_KEY}({_ENTRIES})",
        confidence=0.95,
        lead=80,
        tail=8192,
        check=_holds_text,
    ),
    Detector(
        "secrets.kubernetes-secret",
        "where the kind stands after the values",
        prefilter=f"(?i){_KIND}",
        pattern=f"(?i){_DATA}{_KEY}({_ENTRIES}){_SAME}{_KIND}",
        confidence=0.95,
        lead=8192,
        tail=1,
        check=_holds_text,
    ),
    Detector(
        "secrets.nuget-password",
        "password of a package source in NuGet.Config",
        prefilter=r"""(?i)key=["'](?:cleartext)?password["']\s{1,8}value=["'][^"']{6}""",
        pattern=r"""(?i)key=["'](?:cleartext)?password["']\s{1,8}value=["']([^"'\\]{6,200})["']""",
        confidence=0.9,
        check=lambda candidate: not re.fullmatch(r"\[.*|%\w+%|\$\{?\w+\}?|(.)\1+", candidate.value),
    ),
    Detector(
        "secrets.bundler-login",
        "login for a source of gems, in a variable of Bundler",
        prefilter=r"BUNDLE_[0-9A-Z]{1,40}__[0-9A-Z_]{2,60}[0-9A-Za-z_]{0,20}[^0-9A-Za-z_]{1,30}[0-9A-Za-z._-]{2,64}:[0-9A-Za-z._-]{4}",
        pattern=r"BUNDLE_[0-9A-Z]{1,40}__[0-9A-Z_]{2,60}[0-9A-Za-z_]{0,20}[^0-9A-Za-z_]{1,30}"
        r"([0-9A-Za-z._-]{2,64}:[0-9A-Za-z._-]{4,64})(?:[^0-9A-Za-z._/@-]|$)",
        confidence=0.95,
        check=lambda candidate: "//" not in candidate.value and is_drawn(candidate.value.partition(":")[2] + "0zZ1"),
    ),
    Detector(
        "secrets.curl-login",
        "password on the command line of curl",
        prefilter=_CURL_USER + r"""[^\s"'\\]{3}""",
        pattern=rf"""\bcurl\b(?s:.*?)\s{_CURL_USER}([^\s"'\\]{{3,100}})""",
        confidence=0.9,
        lead=800,
        check=_is_password,
    ),
    Detector(
        "secrets.header",
        "token in a header on a command line, whatever the header is called",
        prefilter=_HEADER + r"[0-9a-z._~+/=-]{10}",
        pattern=_HEADER + r"([0-9a-z._~+/=-]{10,900})(?:[^0-9a-z._~+/=-]|$)",
        confidence=0.9,
        tail=900,
        check=_is_header_value,
    ),
    Detector(
        "secrets.docker-auth",
        "login for a registry in Docker's configuration, user and password in base64",
        prefilter=r"""["\\]auth["\\]{1,3}\s{0,4}:\s{0,4}["\\]{1,3}[0-9A-Za-z+/]{8}""",
        pattern=r"""["\\]auth["\\]{1,3}\s{0,4}:\s{0,4}["\\]{1,3}([0-9A-Za-z+/]{8,800}={0,2})""",
        confidence=0.95,
        tail=900,
        check=_is_login,
    ),
    Detector(
        "secrets.netrc",
        "password of a machine in .netrc",
        prefilter=r"\bmachine\s{1,8}[0-9A-Za-z.-]{1,100}\s{1,40}login\s{1,8}\S{1,100}\s{1,40}password\s{1,8}\S{4}",
        pattern=r"""\bmachine\s{1,8}[0-9A-Za-z.-]{1,100}\s{1,40}login\s{1,8}\S{1,100}\s{1,40}password\s{1,8}([^\s"'\\]{4,200})""",
        confidence=0.95,
        lead=600,
        check=_is_password,
    ),
    Detector(
        "secrets.sshpass",
        "password on the command line of sshpass or of a MySQL client",
        prefilter=r"""\b(?:sshpass\s{1,4}-p\s{0,2}|mysql(?:dump|admin)?\s[^\n]{0,100}-p)["']?[^\s"']{6}""",
        pattern=r"""\b(?:sshpass\s{1,4}-p\s{0,2}|mysql(?:dump|admin)?\s(?:[^\n]{0,99}\s)?-p)["']?([^\s"'\\;|]{6,100})""",
        confidence=0.9,
        check=lambda candidate: _is_password(candidate) and not candidate.value.islower(),
    ),
    Detector(
        "secrets.azure-sas",
        "signature of an Azure shared access address",
        prefilter=r"(?i)[?&;]s[vepri][a-z]?=[^\s\"'<>]{1,400}[&;]sig=[0-9A-Za-z%+/]{40}",
        pattern=r"(?i)[?&;]s[vepri][a-z]?=[^\s\"'<>]{1,400}(?:&amp;|&|;)sig=([0-9A-Za-z%+/]{40,90}(?:=|%3D)?)",
        confidence=0.95,
        lead=600,
        check=_is_key_material,
    ),
    Detector(
        "secrets.aws-signature",
        "signature of an AWS address signed in advance: it opens one object for a while",
        prefilter=r"(?i)X-Amz-Credential=[^\s\"'<>]{10,1200}X-Amz-Signature=[0-9a-f]{64}",
        pattern=r"(?i)X-Amz-Credential=[^\s\"'<>]{10,600}?[^\s\"'<>]{0,600}?X-Amz-Signature=([0-9a-f]{64})",
        confidence=0.9,
        lead=1600,
        check=_is_key_material,
    ),
    Detector(
        "secrets.laravel-key",
        "APP_KEY of a Laravel application: it signs sessions",
        prefilter=r"(?i)app_?key[^0-9A-Za-z]{1,8}base64:[0-9A-Za-z+/]{43}=",
        pattern=r"(?i)app_?key[^0-9A-Za-z]{1,8}(base64:[0-9A-Za-z+/]{43}=)",
        confidence=0.95,
        shown=7,
        check=_is_key_material,
    ),
    Detector(
        "secrets.rails-key",
        "secret_key_base or master key of a Rails application",
        prefilter=r"(?i)(?:secret_key_base|rails_master_key|master\.key)[^0-9A-Za-z]{1,12}(?:[0-9a-f]{128}|[0-9a-f]{32})(?:[^0-9a-f]|$)",
        pattern=r"(?i)(?:secret_key_base|rails_master_key|master\.key)[^0-9A-Za-z]{1,12}([0-9a-f]{128}|[0-9a-f]{32})(?:[^0-9a-f]|$)",
        confidence=0.95,
        check=_is_key_material,
    ),
    Detector(
        "secrets.django-key",
        "SECRET_KEY of a Django application",
        prefilter=r"""(?i)\bsecret_key["'\\]{0,2}\s{0,4}[=:]\s{0,4}r?["'\\]{1,2}(?:django-insecure-)?[^\s"'\\]{40}""",
        pattern=r"""(?i)\bsecret_key["'\\]{0,2}\s{0,4}[=:]\s{0,4}r?["'\\]{1,2}((?:django-insecure-)?[^\s"'\\]{40,80})["'\\]""",
        confidence=0.9,
        check=_is_key_material,
    ),
    Detector(
        "secrets.putty-key",
        "private key in PuTTY's form",
        prefilter=r"PuTTY-User-Key-File-[23]: ",
        pattern=r"PuTTY-User-Key-File-[23]: (?s:.*?)Private-Lines: [0-9]{1,3}\s{1,2}"
        r"([0-9A-Za-z+/=]{40,64}(?:\s{1,2}[0-9A-Za-z+/=]{1,64})*)(?:\s|$)",
        confidence=0.99,
        tail=16_384,
    ),
    Detector(
        "secrets.gcp-refresh",
        "login of a person to Google Cloud, as gcloud keeps it",
        prefilter=r"""authorized_user["\\]""",
        pattern=r"""["\\]{1,2}refresh_token["\\]{1,2}\s{0,4}:\s{0,4}["\\]{1,2}([0-9A-Za-z/_-]{40,200})(?s:.{0,200}?)authorized_user""",
        confidence=0.95,
        lead=800,
        check=_is_key_material,
    ),
)
