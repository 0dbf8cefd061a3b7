"""``sidecar.yaml`` keeps its comments, order and manner when listeners come and go."""

import socket
from pathlib import Path

import pytest

from sidecar.document import Document
from sidecar.errors import SettingsError
from sidecar.install.listeners import ListenerEntry, add, free_ports, remove, verify

NEW = [
    ListenerEntry("wiki", "127.0.0.1:9003", "https://wiki.example.com"),
    ListenerEntry("true", "127.0.0.1:9004", "https://[::1]:99"),
]
ONE = "{name: a, listen: 127.0.0.1:1, upstream: http://x}"
FORMS = [
    f"# c\nservers:   # mine\n  - {ONE}  # t\n\n# next\nmode: monitor\n",
    "servers:\n- name: a\n  listen: 127.0.0.1:1\n  upstream: http://x # t\nmode: monitor",
    f"servers: [{ONE}]\n",
    f"servers: [\r\n  {ONE},  # c\r\n]\r\nmode: monitor\r\n",
    f"mode: monitor\r\nservers:\r\n    - {ONE}\r\n",
    "servers:\n  - name: a\n    listen: 127.0.0.1:1\n    upstream: http://x\n    origins:\n      - http://y # w\n\n\nnode: n\n",
    f"servers:\n  - {ONE}\n# end\n",
]


def names(text: str) -> list[str]:
    document = Document("f", text)
    assert not document.problems
    return [server["name"] for server in document.value["servers"]]


@pytest.mark.parametrize("text", FORMS)
def test_added_and_removed_is_nothing(text: str) -> None:
    """Listeners are added in the manner of the file, every line that was there still is, and removing them restores it."""
    after = add(text, NEW)
    assert names(after) == ["a", "wiki", "true"]
    for line in text.splitlines():
        assert line.rstrip("]\r") in after
    assert ("\r\n" in text) == ("\r\n" in after) and after.count("\r\n") in (0, after.count("\n"))
    assert remove(after, NEW) == text
    assert names(remove(after, NEW[:1])) == ["a", "true"]
    assert names(remove(after, NEW[1:])) == ["a", "wiki"]


@pytest.mark.parametrize(
    "text", ["servers: []\n", "servers:\n", "mode: monitor", "", "servers: []  # none\nmode: monitor\n", "servers: \n"]
)
def test_the_first_listeners(text: str) -> None:
    """Settings without servers get a list; taking all out leaves an empty one."""
    after = add(text, NEW)
    assert names(after) == ["wiki", "true"]
    assert names(remove(after, NEW)) == []
    for line in text.splitlines():
        assert line.partition("#")[2] in after


def test_all_of_a_flow_list_but_one() -> None:
    """Removing what stands first, in the middle or last of a list in brackets leaves a list."""
    items = [ListenerEntry(name, f"127.0.0.1:{index}", "http://x") for index, name in enumerate("abcd", 1)]
    text = "servers: [" + ", ".join(map(str, items)) + "]\n"
    for stays in range(4):
        gone = [item for index, item in enumerate(items) if index != stays]
        assert names(remove(text, gone)) == [items[stays].name]


def test_a_port_that_is_taken_is_passed_over() -> None:
    """A port that somebody listens on is not given to a listener."""
    with socket.socket() as busy:
        port = next(iter(free_ports(())))
        busy.bind(("127.0.0.1", port))
        busy.listen()
        assert next(iter(free_ports(()))) > port
    assert next(iter(free_ports({port}))) > port


def test_settings_that_would_not_load_are_refused(tmp_path: Path) -> None:
    """Before anything is written the new settings are loaded; a mistake is told under the file's own name."""
    file = tmp_path / "deep/sidecar.yaml"
    with pytest.raises(SettingsError, match=rf"^{file}:1:\d+: error"):
        verify(file, "servers: [{name: a, listen: nowhere, upstream: http://x}]\n", {})
    verify(file, f"servers: [{ONE}]\n", {})
    assert list(tmp_path.iterdir()) == []


def test_what_clients_call() -> None:
    """A listener on every address is called by loopback."""
    assert ListenerEntry("a", "0.0.0.0:80", "").address == "http://127.0.0.1:80"
    assert ListenerEntry("a", "[::]:80", "").address == "http://[::1]:80"
    assert ListenerEntry("a", "10.0.0.1:80", "").address == "http://10.0.0.1:80"
