"""Every method of every MCP revision, once: what it is about, where its arguments stand, and which list it belongs to.

A method that is not in the table is passed on, judged like any other, and recorded under its own name. To treat a new one as a
tool call, or to name what it is about, is one line here. Standard library only: ``sidecar wrap`` reads the table too.
"""

from typing import Final, NamedTuple

FIRST_REVISION: Final = "2024-11-05"
MODERN_REVISION: Final = "2026-07-28"


class Method(NamedTuple):
    """One method, as its revisions define it."""

    name: str
    subject: str = ""
    """The parameter that says what a message is about: a tool, prompt, resource, task or reference. Empty: nothing."""
    arguments: str = ""
    """The parameter that holds the arguments. Empty: the parameters are the arguments."""
    lists: str = ""
    """The member of its result that holds the entries of a list."""
    member_of: str = ""
    """The list whose entries its subject is one of, and that access hides along with it."""
    is_tool_call: bool = False
    """Whether a model reads its result as a tool's, so that a refusal can be one (``isError``)."""
    is_handshake: bool = False
    """Whether peers find a common revision by it: an error to it changes the era that a client speaks."""
    since: str = FIRST_REVISION
    until: str = ""
    """The first revision without it; empty while there is none."""

    @property
    def has_arguments(self) -> bool:
        """Whether its arguments stand in a parameter of their own."""
        return bool(self.arguments)


INITIALIZE: Final = "initialize"
TOOLS_CALL: Final = "tools/call"
CANCELLED: Final = "notifications/cancelled"
PROGRESS: Final = "notifications/progress"
ACKNOWLEDGED: Final = "notifications/subscriptions/acknowledged"
LISTEN: Final = "subscriptions/listen"
SAMPLE: Final = "sampling/createMessage"
ELICIT: Final = "elicitation/create"
LIST_ROOTS: Final = "roots/list"
TASK_RESULT: Final = "tasks/result"
PING: Final = "ping"

_TABLE: Final = (
    Method(INITIALIZE, is_handshake=True, until=MODERN_REVISION),
    Method("server/discover", is_handshake=True, since=MODERN_REVISION),
    Method(PING, until=MODERN_REVISION),
    Method("tools/list", lists="tools"),
    Method(TOOLS_CALL, subject="name", arguments="arguments", member_of="tools", is_tool_call=True),
    Method("prompts/list", lists="prompts"),
    Method("prompts/get", subject="name", arguments="arguments", member_of="prompts"),
    Method("resources/list", lists="resources"),
    Method("resources/templates/list", lists=""),
    Method("resources/read", subject="uri", member_of="resources"),
    Method("resources/subscribe", subject="uri", until=MODERN_REVISION),
    Method("resources/unsubscribe", subject="uri", until=MODERN_REVISION),
    Method("completion/complete", subject="ref"),
    Method("logging/setLevel", until=MODERN_REVISION),
    Method(LISTEN, since=MODERN_REVISION),
    Method(SAMPLE),
    Method(ELICIT, since="2025-06-18"),
    Method(LIST_ROOTS),
    Method("tasks/get", subject="taskId", since="2025-11-25"),
    Method(TASK_RESULT, subject="taskId", since="2025-11-25", until=MODERN_REVISION),
    Method("tasks/list", since="2025-11-25", until=MODERN_REVISION),
    Method("tasks/cancel", subject="taskId", since="2025-11-25"),
    Method("tasks/update", subject="taskId", since=MODERN_REVISION),
    Method("notifications/initialized", until=MODERN_REVISION),
    Method(CANCELLED),
    Method(PROGRESS),
    Method("notifications/message"),
    Method("notifications/tools/list_changed"),
    Method("notifications/prompts/list_changed"),
    Method("notifications/resources/list_changed"),
    Method("notifications/resources/updated", subject="uri"),
    Method("notifications/roots/list_changed"),
    Method("notifications/elicitation/complete", since="2025-11-25"),
    Method("notifications/tasks/status", since="2025-11-25", until=MODERN_REVISION),
    Method("notifications/tasks", since=MODERN_REVISION),
    Method(ACKNOWLEDGED, since=MODERN_REVISION),
)

METHODS: Final = {method.name: method for method in _TABLE}

HANDSHAKES: Final = frozenset(method.name for method in _TABLE if method.is_handshake)

MEMBER_METHODS: Final = {method.member_of: method for method in _TABLE if method.member_of}
"""By list (``tools``, ``prompts``, ``resources``): the method that uses one of its entries, named by its subject."""

_FAMILIES: Final = (("resources/", "uri"), ("notifications/resources/", "uri"), ("tasks/", "taskId"))
"""What methods of a family are about that no revision we know defines."""


def method_of(name: str) -> Method:
    """The entry of a method; for one that is not in the table, what its family tells of it."""
    known = METHODS.get(name)
    if known is not None:
        return known
    return Method(name, subject=next((subject for family, subject in _FAMILIES if name.startswith(family)), ""))


def is_of_tasks(name: str) -> bool:
    """Whether a message asks about a task, or tells of one."""
    return name.startswith(("tasks/", "notifications/tasks"))


def is_notification(name: str) -> bool:
    """Whether a method is sent without an id, and so has no answer (JSON-RPC 2.0 §4.1; MCP names them alike)."""
    return name.startswith("notifications/")
