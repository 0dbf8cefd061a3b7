"""The public face of detection: payloads to the spans in which a value of some kind stands.

Names are imported when they are first used, because importing the engine and all detectors takes a fifth of a second that
most commands do not need. Other packages import from here, and from ``custom`` for the kinds that policy files define.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from sidecar.detect.databases import version as version
    from sidecar.detect.engine import Engine as Engine
    from sidecar.detect.families import DETECTORS as DETECTORS
    from sidecar.detect.families import KINDS as KINDS
    from sidecar.detect.families import REGISTERED as REGISTERED
    from sidecar.detect.kinds import SIGNALS as SIGNALS
    from sidecar.detect.kinds import Detector as Detector
    from sidecar.detect.kinds import values as values
    from sidecar.detect.masking import mark as mark
    from sidecar.detect.masking import preview as preview
    from sidecar.detect.personal import IDS as IDS
    from sidecar.detect.personal.ids import Id as Id
    from sidecar.detect.text import Texts as Texts
    from sidecar.detect.text import walk as walk

_MODULES: Final = {
    "DETECTORS": "families",
    "Detector": "kinds",
    "Engine": "engine",
    "IDS": "personal",
    "Id": "personal.ids",
    "KINDS": "families",
    "REGISTERED": "families",
    "SIGNALS": "kinds",
    "Texts": "text",
    "mark": "masking",
    "preview": "masking",
    "values": "kinds",
    "version": "databases",
    "walk": "text",
}
"""Where each public name is defined."""


if not TYPE_CHECKING:  # A type checker would take a module's ``__getattr__`` as a licence for any name.

    def __getattr__(name: str) -> Any:
        """A public name, imported from its module at its first use (PEP 562)."""
        if name not in _MODULES:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        value = globals()[name] = getattr(import_module(f"{__name__}.{_MODULES[name]}"), name)
        return value

    def __dir__() -> list[str]:
        return sorted(_MODULES)
