"""``${token:pii.email}`` in tests of policies: tokens by name, since their text depends on a key.

The name is the kind of the value, with ``#2`` for the second value of that kind to which an earlier or the same step gave a
token. In what a step sends it stands for that token; in what it should come to, for the token that came.
"""

import re
from collections.abc import Collection
from typing import Any, Final

from sidecar.events import Message, Verdict
from sidecar.policy.policy_set import PolicySet
from sidecar.policy.replacements import Replacements
from sidecar.policy.restore import restore_tokens
from sidecar.policy.tokens import TokenForm, TokenSpan, numbers
from sidecar.policy.vault import FoundToken, Restored, Vault

_NAMED: Final = re.compile(r"\$\{token:([^}]*)\}")
_KEY: Final = b"test"


class NoSuchToken(ValueError):
    """A test names a token that was never made; the text is the name."""


class NamedTokens:
    """The tokens of one test, in a vault of its own."""

    def __init__(self) -> None:
        self.vault = Vault(_KEY)
        self._form = TokenForm(_KEY)
        self._names: dict[str, str] = {}
        self._tokens: dict[str, str] = {}

    def replacements(self, message: Message, verdict: Verdict, now: float) -> Replacements:
        """What the vault gives, with a name for every new token."""
        replacements = self.vault.replacements(message, verdict, now)
        for span, _ in verdict.tokens:
            text = replacements(span) if span.leaf.is_text else str(replacements.numbers.get(span.leaf.path, ""))
            for place in self._places(text):
                if place.id not in self._names:
                    count = 1 + sum(name.partition("#")[0] == span.kind for name in self._tokens)
                    name = span.kind if count == 1 else f"{span.kind}#{count}"
                    self._names[place.id], self._tokens[name] = name, text
        return replacements

    def restored(self, policies: PolicySet, message: Message, standing: Collection[FoundToken], now: float) -> Restored:
        """What the tokens in a step turn back into."""
        return restore_tokens(self.vault, policies, message, standing, now)

    def filled(self, value: Any) -> Any:
        """A copy with every name replaced by its token.

        Raises:
            NoSuchToken: nothing was given this name.
        """
        if isinstance(value, str):
            whole = _NAMED.fullmatch(value)
            text = _NAMED.sub(self._token, value)
            return int(text) if whole is not None and text.isdecimal() else text
        if isinstance(value, dict):
            return {key: self.filled(each) for key, each in value.items()}
        return [self.filled(each) for each in value] if isinstance(value, list) else value

    def named(self, value: Any) -> Any:
        """A copy with every token replaced by its name."""
        if isinstance(value, dict):
            return {key: self.named(each) for key, each in value.items()}
        if isinstance(value, list):
            return [self.named(each) for each in value]
        is_number = isinstance(value, int) and not isinstance(value, bool)
        if not isinstance(value, str):
            return f"${{token:{self._names[str(value)]}}}" if is_number and str(value) in self._names else value
        parts, done = [], 0
        for place in self._places(value):
            if place.id in self._names:
                parts += [value[done : place.start], f"${{token:{self._names[place.id]}}}"]
                done = place.end
        return "".join((*parts, value[done:]))

    def _places(self, text: str) -> list[TokenSpan]:
        found = [*self._form.tokens(text), *(each for each in numbers(text))]
        return sorted(found, key=lambda each: each.start)

    def _token(self, found: re.Match[str]) -> str:
        name = found[1].removesuffix("#1")
        if name not in self._tokens:
            raise NoSuchToken(found[1][:60])
        return self._tokens[name]
