"""Whether the page can run: what only it needs is an extra of the package (``page``), and may be left out."""

from importlib.util import find_spec
from typing import Final

NOT_INSTALLED: Final = "not installed; it comes with the package's extra 'page', in the checkout: pip install '.[page]'"
"""What to tell whoever asks for the page and cannot have it, after the word ``page``."""


def is_page_installed() -> bool:
    """Whether the extra is there; found out without importing it, which takes most of a second."""
    return find_spec("streamlit") is not None
