"""The inventory of tools and prompts: their remembered definitions and what changed in them. This is its public face."""

from sidecar.inventory.comparison import CALLED, LISTED, UNREAD, build_definition
from sidecar.inventory.entry import DefinitionEvent, InventoryEntry, Key
from sidecar.inventory.hidden_summary import describe_hidden_text, read_by_models
from sidecar.inventory.tracking import Inspection, Inventory

__all__ = [
    "CALLED",
    "LISTED",
    "UNREAD",
    "DefinitionEvent",
    "Inspection",
    "Inventory",
    "InventoryEntry",
    "Key",
    "build_definition",
    "describe_hidden_text",
    "read_by_models",
]
