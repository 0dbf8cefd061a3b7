"""The values of the secrets that the settings name, for the detectors to find; no message here holds one."""

import os
from collections.abc import Mapping

from sidecar.errors import SettingsError
from sidecar.limits import REGISTERED_CHARS_MAX, REGISTERED_CHARS_MIN
from sidecar.settings import Settings, resolve_secret


def registered_secrets(settings: Settings, environ: Mapping[str, str] = os.environ) -> tuple[str, ...]:
    """The values that ``secrets`` names, read now: one that changes later is known after a restart.

    Raises:
        SettingsError: one cannot be read, or is too short to be told from other text. No message holds a value.
    """
    values = []
    for reference in settings.secrets:
        try:
            value = resolve_secret(reference, environ)
        except UnicodeDecodeError:
            raise SettingsError(f"{settings.file}: error[secrets]: {reference} is not text; name a file that is") from None
        if not REGISTERED_CHARS_MIN <= len(value) <= REGISTERED_CHARS_MAX:
            said = "is too short to tell from other text" if len(value) < REGISTERED_CHARS_MIN else "is too long for a secret"
            raise SettingsError(
                f"{settings.file}: error[secrets]: the value of {reference} {said} "
                f"({REGISTERED_CHARS_MIN} to {REGISTERED_CHARS_MAX:,} characters); take it out of 'secrets'"
            )
        values.append(value)
    return tuple(values)
