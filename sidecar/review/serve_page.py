"""``sidecar review``: runs Streamlit, which serves the pages of ``dashboards/review`` and nothing else."""

import contextlib
import os
from typing import Final
from urllib.parse import urlsplit

from sidecar import ports
from sidecar.errors import SettingsError
from sidecar.review.extra import NOT_INSTALLED, is_page_installed
from sidecar.review.read import quiet_clients
from sidecar.settings import Settings, shipped

CONFIG_VARIABLE: Final = "SIDECAR_CONFIG"
"""The environment variable that tells the page which settings file to read."""

_OPTIONS: Final = {
    "server.headless": "true",
    "server.showEmailPrompt": "false",
    "server.fileWatcherType": "none",
    "server.enableStaticServing": "false",
    "server.enableXsrfProtection": "true",
    "browser.gatherUsageStats": "false",
    "client.toolbarMode": "viewer",
    "client.showErrorDetails": "none",
    "client.showErrorLinks": "false",
    "logger.hideWelcomeMessage": "true",
    "runner.magicEnabled": "false",
}
_THEME: Final = {
    "light.primaryColor": "#2b6cb0",
    "light.secondaryBackgroundColor": "#f5f7fa",
    "light.borderColor": "#dfe4ea",
    "dark.primaryColor": "#63a4e8",
    "dark.backgroundColor": "#11161d",
    "dark.secondaryBackgroundColor": "#1a212b",
    "dark.borderColor": "#2c3644",
    "light.redBackgroundColor": "#fbd9d7",
    "light.orangeBackgroundColor": "#fce4c4",
    "light.yellowBackgroundColor": "#faf0c0",
    "light.violetBackgroundColor": "#e6dffa",
    "light.blueBackgroundColor": "#dcebfa",
    "light.greenBackgroundColor": "#d8f1df",
    "light.grayBackgroundColor": "#edf0f3",
    "dark.grayBackgroundColor": "#2a323d",
    "baseRadius": "6px",
    "metricValueFontSize": "1.5rem",
    "headingFontSizes": '["1.7rem", "1.4rem", "1.2rem", "1.1rem", "1rem", "1rem"]',
    "paddingTop": "2.5rem",
}


def run(settings: Settings) -> int:
    """Serve the page at ``settings.page`` until SIGINT (returns 0) or SIGTERM (ends the process).

    Raises:
        SettingsError: the page is not installed, another program has the port, or the address is not this machine's.
    """
    _check(settings)
    os.environ[CONFIG_VARIABLE] = os.path.abspath(settings.file)
    quiet_clients()
    # Streamlit takes most of a second to import; mistakes in the settings are reported before that.
    from click import Abort
    from streamlit.web import cli

    # Ctrl-C arrives here as click's Abort.
    with contextlib.suppress(KeyboardInterrupt, Abort):
        cli.main(arguments(settings), standalone_mode=False)
    return 0


def arguments(settings: Settings) -> list[str]:
    """Streamlit's command line for the page. Options are given there, so that no configuration file can override them."""
    host, port = page_address(settings)
    public = urlsplit(settings.link_base)
    options = _OPTIONS | {f"theme.{name}": value for name, value in _THEME.items()}
    options |= {"server.address": host, "server.port": str(port)}
    options |= {"browser.serverAddress": public.hostname or host, "server.baseUrlPath": public.path.strip("/")}
    app = shipped("dashboards") / "review" / "server.py"
    return ["run", *(f"--{name}={value}" for name, value in options.items()), str(app)]


def page_address(settings: Settings) -> tuple[str, int]:
    """Host and port to listen on."""
    host, _, port = settings.page.rpartition(":")
    return host.strip("[]") or "0.0.0.0", int(port)


def _check(settings: Settings) -> None:
    """Find out now, in our words, what Streamlit would find out later in its own."""
    if not is_page_installed():
        raise SettingsError(f"{settings.file}: error[page]: the page is {NOT_INSTALLED}")
    if why := ports.fault_at(settings.page):
        raise SettingsError(ports.message(settings, settings.page, why))
