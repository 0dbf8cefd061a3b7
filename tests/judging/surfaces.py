"""Every place of every message in which text travels, in both directions: a message of each method, and where in it."""

import base64
import copy
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from tests.play import aws_key

Path = tuple[str | int, ...]
KEY: Final = "<key>"
"""In a path: the name of this member is what is planted."""


def forms(secret: str) -> list[bytes]:
    """The value, and how base64 writes it wherever it stands."""
    raw = secret.encode()
    return [raw, *(base64.b64encode(b"\0" * before + raw + b"\0\0")[4:-4] for before in range(3))]


def text(secret: str) -> str:
    """The value in a sentence."""
    return f"see {secret} there"


def alone(secret: str) -> str:
    """The value and nothing else."""
    return secret


def address(secret: str) -> str:
    """The value in an address."""
    return f"file:///srv/{secret}/notes.txt"


def template(secret: str) -> str:
    """The value in a template of addresses."""
    return f"file:///srv/{secret}/{{name}}"


def utf8(secret: str) -> str:
    """The bytes of a short text in base64: too short for one who looks for encoded text anywhere."""
    return base64.b64encode(f"é\n{secret}\né".encode()).decode()


def utf16(secret: str) -> str:
    """The same in UTF-16."""
    return base64.b64encode(f"a {secret}".encode("utf-16")).decode()


@dataclass(frozen=True)
class Surface:
    """``planted`` stands at ``path`` of the message ``way`` names, which is ``method``'s."""

    way: str
    method: str
    path: Path
    planted: Callable[[str], Any] = text
    era: str = "handshake"

    @property
    def id(self) -> str:
        """What the test is called by."""
        steps = ".".join(map(str, self.path))
        return f"{self.way} {self.method} {steps} {self.planted.__name__} {self.era}"

    @property
    def place(self) -> Path:
        """Where the record says it was."""
        return tuple("[secrets.aws-key]" if step == KEY else step for step in self.path)

    def message(self, rpc_id: Any) -> dict[str, Any]:
        """The message with the value in it."""
        message: dict[str, Any] = {"jsonrpc": "2.0", **copy.deepcopy(MESSAGES[self.way, self.method])}
        if "notification" not in self.way:
            message["id"] = rpc_id
        if "inputResponses" in self.path:
            message["params"]["inputResponses"] = {"elicited": {"action": "accept", "content": {}}, "sampled": _SAMPLED}
            message = copy.deepcopy(message)
        at: Any = message
        for step, following in zip(self.path[:-1], self.path[1:], strict=True):
            if isinstance(step, str) and isinstance(at, dict) and step not in at:
                at[step] = [] if isinstance(following, int) else {}
            if isinstance(step, int) and len(at) == step:
                at.append({} if isinstance(self.path[self.path.index(step) + 1], str) else [])
            at = at[step]
        last = self.path[-1]
        if last == KEY:
            at[aws_key()] = 1
        elif isinstance(last, int) and len(at) == last:
            at.append(self.planted(aws_key()))
        else:
            at[last] = self.planted(aws_key())
        return message


_TOOL: Final = {"name": "t", "inputSchema": {"type": "object"}}
_SAMPLED: Final = {"role": "assistant", "model": "m", "content": {"type": "text", "text": "x"}}
_SAMPLING: Final = {"messages": [{"role": "user", "content": {"type": "text", "text": "x"}}], "maxTokens": 9}
_ELICIT: Final = {"message": "x", "requestedSchema": {"type": "object", "properties": {}}}

MESSAGES: Final[dict[tuple[str, str], dict[str, Any]]] = {
    ("request", "tools/call"): {"method": "tools/call", "params": {"name": "t", "arguments": {}}},
    ("request", "prompts/get"): {"method": "prompts/get", "params": {"name": "p", "arguments": {}}},
    ("request", "resources/read"): {"method": "resources/read", "params": {"uri": "file:///a"}},
    ("request", "resources/subscribe"): {"method": "resources/subscribe", "params": {"uri": "file:///a"}},
    ("request", "completion/complete"): {
        "method": "completion/complete",
        "params": {"ref": {"type": "ref/prompt", "name": "p"}, "argument": {"name": "a", "value": "b"}},
    },
    ("request", "initialize"): {
        "method": "initialize",
        "params": {"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {"name": "c", "version": "1"}},
    },
    ("request", "logging/setLevel"): {"method": "logging/setLevel", "params": {"level": "info"}},
    ("request", "tools/list"): {"method": "tools/list"},
    ("request", "other/method"): {"method": "other/method", "params": {}},
    ("request", "tasks/get"): {"method": "tasks/get", "params": {"taskId": "t1"}},
    **{
        ("request", method): {"method": method}
        for method in ("prompts/list", "resources/list", "resources/templates/list", "tasks/list", "server/discover")
    },
    ("request", "tasks/result"): {"method": "tasks/result", "params": {"taskId": "t1"}},
    ("client notification", "notifications/progress"): {
        "method": "notifications/progress", "params": {"progressToken": 1, "progress": 1}},
    ("client notification", "notifications/cancelled"): {"method": "notifications/cancelled", "params": {"requestId": 77}},
    ("client notification", "notifications/other"): {"method": "notifications/other", "params": {}},
    ("server notification", "notifications/message"): {
        "method": "notifications/message", "params": {"level": "info", "data": {}}},
    ("server notification", "notifications/progress"): {
        "method": "notifications/progress", "params": {"progressToken": 1, "progress": 1}},
    ("server notification", "notifications/resources/updated"): {
        "method": "notifications/resources/updated", "params": {"uri": "file:///a"}},
    ("server notification", "notifications/cancelled"): {"method": "notifications/cancelled", "params": {"requestId": 77}},
    ("server notification", "notifications/tasks/status"): {
        "method": "notifications/tasks/status", "params": {"taskId": "t", "status": "working"}},
    ("server notification", "notifications/other"): {"method": "notifications/other", "params": {}},
    ("question", "sampling/createMessage"): {"method": "sampling/createMessage", "params": _SAMPLING},
    ("question", "elicitation/create"): {"method": "elicitation/create", "params": _ELICIT},
    ("question", "roots/list"): {"method": "roots/list"},
    ("reply", "sampling/createMessage"): {"result": _SAMPLED},
    ("reply", "elicitation/create"): {"result": {"action": "accept", "content": {}}},
    ("reply", "roots/list"): {"result": {"roots": [{"uri": "file:///a"}]}},
    ("answer", "tools/call"): {"result": {"content": [{"type": "text", "text": "x"}]}},
    ("answer", "tools/list"): {"result": {"tools": [_TOOL]}},
    ("answer", "prompts/list"): {"result": {"prompts": [{"name": "p", "arguments": [{"name": "a"}]}]}},
    ("answer", "prompts/get"): {"result": {"messages": [{"role": "user", "content": {"type": "text", "text": "x"}}]}},
    ("answer", "resources/list"): {"result": {"resources": [{"uri": "file:///a", "name": "a"}]}},
    ("answer", "resources/templates/list"): {"result": {"resourceTemplates": [{"uriTemplate": "file:///{a}", "name": "a"}]}},
    ("answer", "resources/read"): {"result": {"contents": [{"uri": "file:///a"}]}},
    ("answer", "completion/complete"): {"result": {"completion": {"values": ["a"]}}},
    ("answer", "initialize"): {
        "result": {"protocolVersion": "2025-11-25", "capabilities": {}, "serverInfo": {"name": "s", "version": "1"}}},
    ("answer", "server/discover"): {"result": {"supportedVersions": ["2026-07-28"], "capabilities": {}}},
    ("answer", "tasks/get"): {"result": {"taskId": "t1", "status": "working"}},
    ("answer", "tasks/list"): {"result": {"tasks": [{"taskId": "t1", "status": "working"}]}},
    ("answer", "tasks/result"): {"result": {"content": [{"type": "text", "text": "x"}]}},
    ("answer", "other/method"): {"result": {}},
    ("failure", "tools/call"): {"error": {"code": -32000, "message": "x"}},
}  # fmt: skip


def _at(way: str, method: str, *paths: str, planted: Callable[[str], Any] = text, era: str = "handshake") -> list[Surface]:
    steps = [tuple(int(step) if step.isdigit() else step for step in path.split()) for path in paths]
    return [Surface(way, method, path, planted, era) for path in steps]


_META: Final = "params _meta com.example/note"
_RESULT_META: Final = "result _meta com.example/note"

SURFACES: Final[list[Surface]] = [
    *_at("request", "tools/call", "params arguments a", "params arguments a b 0 c", f"params arguments {KEY}",
         f"params arguments a {KEY}", _META, "params other", "other", "method", "params name", planted=alone),
    *_at("request", "prompts/get", "params arguments a", "params name"),
    *_at("request", "resources/read", "params uri", planted=address),
    *_at("request", "resources/subscribe", "params uri", planted=address),
    *_at("request", "completion/complete", "params argument value", "params argument name", "params ref name",
         "params context arguments a"),
    *_at("request", "completion/complete", "params ref uri", planted=template),
    *_at("request", "initialize", "params clientInfo name", "params clientInfo title", "params clientInfo version",
         "params capabilities experimental a b", "params clientInfo icons 0 src"),
    *_at("request", "logging/setLevel", "params level"),
    *_at("request", "other/method", "params a", _META),
    *_at("client notification", "notifications/progress", "params message", _META),
    *_at("client notification", "notifications/cancelled", "params reason"),
    *_at("client notification", "notifications/other", "params a", f"params {KEY}"),
    *_at("request", "tools/call", "params arguments a", "params inputResponses elicited content name",
         "params inputResponses sampled content text", _META, era="modern"),
    *_at("reply", "sampling/createMessage", "result content text", "result model", _RESULT_META),
    *_at("reply", "sampling/createMessage", "result content data", planted=utf8),
    *_at("reply", "elicitation/create", "result content a", f"result content {KEY}"),
    *_at("reply", "roots/list", "result roots 0 uri", planted=address),
    *_at("reply", "roots/list", "result roots 0 name"),
    *_at("answer", "tools/call", "result content 0 text", "result structuredContent a b 0", f"result structuredContent {KEY}",
         "result content 1 resource text", "result content 1 name", "result content 1 title", "result content 1 description",
         "result content 0 _meta a", "result content 0 annotations a", _RESULT_META, "result other", "other"),
    *_at("answer", "tools/call", "result content 1 uri", "result content 1 resource uri", planted=address),
    *_at("answer", "tools/call", "result content 0 data", "result content 1 resource blob", planted=utf8),
    *_at("answer", "tools/call", "result content 0 data", "result content 1 resource blob", planted=utf16),
    *_at("answer", "tools/call", "result content 0 text", "result inputRequests q params message",
         "result inputRequests q params messages 0 content text", era="modern"),
    *_at("failure", "tools/call", "error message", "error data", "error data a 0", f"error data {KEY}"),
    *_at("answer", "tools/list", "result tools 0 name", "result tools 0 title", "result tools 0 description",
         "result tools 0 annotations title", "result tools 0 inputSchema properties a description",
         "result tools 0 inputSchema properties a default", "result tools 0 inputSchema properties a enum 0",
         f"result tools 0 inputSchema properties {KEY}", "result tools 0 outputSchema title", "result tools 0 icons 0 src",
         "result tools 0 _meta a", _RESULT_META),
    *_at("answer", "prompts/list", "result prompts 0 name", "result prompts 0 title", "result prompts 0 description",
         "result prompts 0 arguments 0 name", "result prompts 0 arguments 0 description"),
    *_at("answer", "prompts/get", "result description", "result messages 0 content text",
         "result messages 0 content resource text"),
    *_at("answer", "prompts/get", "result messages 0 content resource blob", "result messages 0 content data", planted=utf8),
    *_at("answer", "resources/list", "result resources 0 name", "result resources 0 title", "result resources 0 description"),
    *_at("answer", "resources/list", "result resources 0 uri", planted=address),
    *_at("answer", "resources/templates/list", "result resourceTemplates 0 uriTemplate", planted=template),
    *_at("answer", "resources/templates/list", "result resourceTemplates 0 description"),
    *_at("answer", "resources/read", "result contents 0 text"),
    *_at("answer", "resources/read", "result contents 0 uri", planted=address),
    *_at("answer", "resources/read", "result contents 0 blob", planted=utf8),
    *_at("answer", "resources/read", "result contents 0 blob", planted=utf16),
    *_at("answer", "completion/complete", "result completion values 0"),
    *_at("answer", "initialize", "result instructions", "result serverInfo name", "result serverInfo title",
         "result capabilities experimental a b"),
    *_at("answer", "server/discover", "result instructions", "result _meta a", era="modern"),
    *_at("answer", "tasks/get", "result statusMessage"),
    *_at("answer", "tasks/list", "result tasks 0 statusMessage"),
    *_at("answer", "tasks/result", "result content 0 text"),
    *_at("answer", "other/method", "result a"),
    *_at("question", "sampling/createMessage", "params messages 0 content text", "params systemPrompt",
         "params stopSequences 0", "params metadata a", "params modelPreferences hints 0 name",
         "params tools 0 description", _META),
    *_at("question", "sampling/createMessage", "params messages 0 content data", planted=utf8),
    *_at("question", "elicitation/create", "params message", "params requestedSchema properties a description",
         "params requestedSchema properties a default"),
    *_at("question", "elicitation/create", "params url", planted=address),
    *_at("question", "roots/list", _META),
    *_at("server notification", "notifications/message", "params data", "params data a 0", "params logger"),
    *_at("server notification", "notifications/progress", "params message"),
    *_at("server notification", "notifications/resources/updated", "params uri", planted=address),
    *_at("server notification", "notifications/cancelled", "params reason"),
    *_at("server notification", "notifications/tasks/status", "params statusMessage"),
    *_at("server notification", "notifications/other", "params a", f"params {KEY}"),
]  # fmt: skip
