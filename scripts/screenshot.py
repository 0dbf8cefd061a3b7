"""Takes the screenshot of the README: the page of the demo, with real calls in it, by a real browser.

``make screenshot`` runs it. It needs Debian's chromium (scripts/test-tools installs it) and the packages of the tests.
"""

import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Final

from playwright.sync_api import Page, sync_playwright

ROOT: Final = Path(__file__).parents[1]
IMAGE: Final = ROOT / "docs" / "images" / "page.png"
CHROMIUM: Final = "/usr/bin/chromium"
ARGUMENTS: Final = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update"]
START_WAIT_S: Final = 180
CALLS_WAIT_S: Final = 120


def page_of(demo: "subprocess.Popen[str]") -> str:
    """The page's address, which the demo says when everything answers."""
    deadline = time.monotonic() + START_WAIT_S
    assert demo.stdout is not None
    address = ""
    for line in demo.stdout:
        if found := re.search(r"page: (http://[\d.:]+)", line):
            address = found[1]
        if "ready" in line and address:
            return address
        if time.monotonic() > deadline:
            break
    raise SystemExit("the demo did not start")


def wait_for_calls(tab: Page, address: str) -> None:
    """Until something was blocked and something redacted, so that the picture shows both."""
    deadline = time.monotonic() + CALLS_WAIT_S
    while time.monotonic() < deadline:
        tab.goto(address)
        tab.wait_for_load_state("networkidle")
        # Streamlit draws the page part by part; the icon of its running script goes when all is there.
        tab.wait_for_timeout(2000)
        tab.wait_for_selector("[data-testid=stStatusWidget]", state="detached", timeout=60_000)
        tab.wait_for_timeout(2000)
        text = tab.inner_text("body")
        if re.search(r"Blocked\s+[1-9]", text) and re.search(r"Redacted\s+[1-9]", text) and "error" not in text.lower():
            return
    raise SystemExit("the demo's agent was never blocked")


def main() -> None:
    """Start the demo, take the picture, stop the demo."""
    command = [sys.executable, str(ROOT / "examples" / "demo.py")]
    demo = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    try:
        address = page_of(demo)
        with sync_playwright() as playwright:
            browser = playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
            tab = browser.new_page(viewport={"width": 1280, "height": 860})
            wait_for_calls(tab, address)
            IMAGE.parent.mkdir(exist_ok=True)
            tab.screenshot(path=str(IMAGE))
            browser.close()
    finally:
        demo.send_signal(signal.SIGINT)
        demo.wait(60)


if __name__ == "__main__":
    main()
