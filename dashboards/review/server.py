"""The page as a web application: Streamlit's, behind our check of the request's origin (``sidecar review``)."""

import os
from pathlib import Path

# Streamlit runs each visit in a thread of its own. Where the first visits import these at the same moment, one of them may find
# a library half imported and show its traceback; so they are whole before anybody is served.
import altair  # noqa: F401
import pandas  # noqa: F401
import pyarrow  # noqa: F401
from starlette.middleware import Middleware
from streamlit.starlette import App

from sidecar.review.origin import OwnOrigin
from sidecar.settings import DEFAULT_FILE, load

_settings = load(os.environ.get("SIDECAR_CONFIG", DEFAULT_FILE))
_host = _settings.page.rpartition(":")[0]

app = App(
    Path(__file__).with_name("app.py"),
    middleware=[Middleware(OwnOrigin, base=_settings.link_base, names=(_host, _settings.node))],
)
