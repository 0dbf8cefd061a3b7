"""What later messages refer back to: the call a task belongs to, the round before this one, the call that makes progress.

A task's output leaves minutes after the call that made it, on other exchanges and by other methods (MCP 2025-11-25, tasks; the
tasks extension of 2026-07-28), and has to be judged as that tool's output. A server that needs input ends a call and has
it sent again with its sealed ``requestState`` (MCP 2026-07-28, multi-round requests).
"""

from collections.abc import Mapping
from hashlib import sha256
from typing import Any, Final, Literal

import orjson

from sidecar import limits
from sidecar.decode.jsonrpc import id_key
from sidecar.sessions.correlation import Bounded
from sidecar.state.call import Call, Peer, Round, TaskOrigin

Host = Literal["server", "client"]
"""Who runs a task: whoever was asked for it."""

_RELATED_TASK: Final = "io.modelcontextprotocol/related-task"


class Continuations:
    """The tables, each bounded: what is forgotten is judged and recorded as what it is without the call before it."""

    def __init__(self) -> None:
        self._tasks: Bounded[tuple[Host, str, str], TaskOrigin] = Bounded(limits.TASKS_MAX)
        self._rounds: Bounded[tuple[str, ...], Round] = Bounded(limits.ROUNDS_MAX)
        self._progress: Bounded[tuple[Peer, tuple[str, Any]], Call] = Bounded(limits.PENDING_SERVER_REQUESTS_MAX)

    def learn(self, call: Call, payload: Any, host: Host) -> None:
        """A result says that its call goes on: as a task, or in another round."""
        result = _mapping(_mapping(payload).get("result"))
        if result.get("resultType") == "input_required":
            for key in _round_keys(call.server.name, call.tool, call.args, result.get("requestState")):
                self._rounds[key] = Round(call.round.call_id, call.round.number) if call.round else Round(call.id, 1)
            return
        task = _mapping(result.get("task")) or (result if result.get("resultType") == "task" else {})
        task_id = task.get("taskId")
        if isinstance(task_id, str) and call.origin is None:
            self._tasks[host, call.server.name, task_id] = call.as_origin()

    def task(self, host: Host, server: str, payload: Any) -> TaskOrigin | None:
        """The call whose task a message is about: of a ``tasks/`` method, a notice, or related to one."""
        params = _mapping(_mapping(payload).get("params"))
        task_id = params.get("taskId") or _mapping(_mapping(params.get("_meta")).get(_RELATED_TASK)).get("taskId")
        return self._tasks.get((host, server, task_id)) if isinstance(task_id, str) else None

    def round(self, server: str, tool: str, args: Any, payload: Any) -> Round | None:
        """The round a request continues, when it brings the answers or the state of one."""
        params = payload.get("params")
        if not isinstance(params, dict) or ("requestState" not in params and "inputResponses" not in params):
            return None
        for key in _round_keys(server, tool, args, params.get("requestState")):
            if (before := self._rounds.get(key)) is not None:
                return Round(before.call_id, before.number + 1)
        return None

    def begin(self, peer: Peer, call: Call, payload: Any) -> None:
        """A request is passed on that may be told of its progress."""
        params = payload.get("params")
        meta = params.get("_meta") if isinstance(params, dict) else None
        if isinstance(meta, dict) and (token := meta.get("progressToken")) is not None:
            self._progress[peer, id_key(token)] = call

    def find_progressing(self, peer: Peer, payload: Any) -> Call | None:
        """The call a progress notification is about, on whichever stream of its session it comes."""
        return self._progress.get((peer, id_key(_mapping(_mapping(payload).get("params")).get("progressToken"))))


def _round_keys(server: str, tool: str, args: Any, state: Any) -> list[tuple[str, ...]]:
    """A state is never kept, only its hash; a server that gives none is continued by the same request with answers."""
    if isinstance(state, str):
        return [(server, sha256(state.encode("utf-8", "surrogatepass")).hexdigest())]
    try:
        said = orjson.dumps(args, option=orjson.OPT_SORT_KEYS)
    except (TypeError, ValueError):
        return []
    return [(server, tool, sha256(said).hexdigest())]


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}
