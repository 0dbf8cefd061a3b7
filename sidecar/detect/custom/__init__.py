"""The family of custom kinds, which policy files define: its public face. Their table is the ``detectors`` of policy files."""

from sidecar.detect.custom.checksums import CHECKSUMS
from sidecar.detect.custom.exact import ExactTable, build_table
from sidecar.detect.custom.exact_form import normalise
from sidecar.detect.custom.exact_list import Damaged, key_id, key_of, parse_list
from sidecar.detect.custom.keywords import prepare_words
from sidecar.detect.custom.regex_prefilter import RegexPrefilter
from sidecar.detect.custom.scan import NO_CUSTOM_KINDS, CustomKind, CustomKinds, compile_pattern, prepare_regex

__all__ = [
    "CHECKSUMS",
    "NO_CUSTOM_KINDS",
    "CustomKind",
    "CustomKinds",
    "Damaged",
    "ExactTable",
    "RegexPrefilter",
    "build_table",
    "compile_pattern",
    "key_id",
    "key_of",
    "normalise",
    "parse_list",
    "prepare_regex",
    "prepare_words",
]
