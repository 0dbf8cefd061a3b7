"""What sessions did, and what conditions remember: apart, and bounded."""

from sidecar.limits import SESSIONS_MAX
from sidecar.policy.memory import State


def test_a_session_knows_its_calls_and_servers() -> None:
    """Calls are counted and servers remembered in the order of first use."""
    sessions = State()
    for server in ("crm", "mail", "crm"):
        sessions.add_call("s", server)
    assert sessions.session("s") == (3, ("crm", "mail"))
    assert sessions.session("other") == (0, ())


def test_sessions_are_bounded() -> None:
    """The session that was silent longest is forgotten first."""
    sessions = State()
    sessions.add_call("kept", "crm")
    for number in range(SESSIONS_MAX):
        sessions.add_call(str(number), "crm")
        if number == 10:
            sessions.add_call("kept", "mail")
    assert sessions.session("kept") == (2, ("crm", "mail"))
    assert sessions.session("0") == (0, ())
    assert sessions.forgotten == 1


def test_a_condition_has_a_memory_of_its_own() -> None:
    """What one condition remembers is there at the next message, and no other state has it."""
    state = State()
    state.memory(list).append(1)
    assert state.memory(list) == [1]
    assert state.memory(dict) == {}
    assert State().memory(list) == []
