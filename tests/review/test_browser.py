from urllib.parse import urlsplit

from tests import seed
from tests.browser import sync_api, tab
from tests.review.conftest import Page

__all__ = ["tab"]


def test_a_person_finds_a_blocked_call_and_its_rule(page: Page, tab: "sync_api.Page") -> None:
    """An alert's link works first thing; from the list of blocked calls a click opens one; nothing leaves this machine."""
    asked: list[str] = []
    tab.on("request", lambda request: asked.append(request.url))
    tab.on("websocket", lambda socket: asked.append(socket.url))

    tab.goto(f"{page.url}/call?id={seed.HOSTILE}")
    tab.get_by_role("heading", name="Request, as recorded").wait_for()
    tab.get_by_text("by rule hostile.text").wait_for()
    assert tab.evaluate("typeof window.hacked") == "undefined"

    tab.goto(f"{page.url}/?verdict=block&tool=send_email")
    blocked = tab.get_by_role("row", name="block critical send_email mail blocked secrets.out ada@example.com").first
    blocked.get_by_role("link", name="send_email").click()
    tab.wait_for_url(f"**/call?id={seed.BLOCKED}")
    tab.get_by_text("by rule secrets.out").wait_for()
    tab.get_by_test_id("stCode").filter(has_text="Not sent: the arguments hold an AWS access key.").first.wait_for()

    tab.go_back()
    blocked.wait_for()
    assert "verdict=block" in tab.url

    for path, heading in (("findings", "By rule"), ("health", "What happened to the sidecar")):
        tab.goto(f"{page.url}/{path}")
        tab.get_by_role("heading", name=heading).wait_for()
        assert tab.evaluate("typeof window.hacked") == "undefined"
    assert {urlsplit(url).hostname for url in asked if not url.startswith(("data:", "blob:"))} == {"127.0.0.1"}
