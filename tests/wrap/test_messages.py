"""Over stdio every message is judged, and nothing else is touched: case 25 of the wire, and policies at work."""

import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.e2e.conftest import Program, is_open, until
from tests.judging.surfaces import MESSAGES, SURFACES, forms
from tests.play import ACCESS, SECRETS, aws_key
from tests.wrap.conftest import ECHO, Client, Home, call, python, request

USER = """
version: 1
policy: people
owner: security@ourco.example
description: A rule about who calls.
mode: enforce
rules:
  - id: people.root
    title: Root calls
    match: {user: WHO, tool: for_others, direction: request}
    action: block
  - id: people.asked
    title: A person is asked about a credential
    match: {method: elicitation/create, direction: response}
    when: {detect: {any: [secrets], confidence: 0.8}}
    action: block
tests:
  - {name: him, call: {server: a, tool: for_others, user: WHO}, expect: {verdict: block, rules: [people.root]}}
  - {name: other, call: {server: a, tool: for_others, user: nobody-else}, expect: {verdict: allow, rules: []}}
  - name: asked
    call: {server: a, method: elicitation/create, direction: response, args: {message: "${fake:aws_key}"}}
    expect: {verdict: block, rules: [people.asked]}
"""


TOKENS = """
version: 1
policy: addresses
owner: privacy@ourco.example
description: One tool gets addresses as tokens only.
mode: enforce
rules:
  - id: pii.out
    title: An address leaves
    match: {direction: request, tool: post_out}
    when: {detect: {any: [pii.email]}}
    action: tokenize
tests:
  - name: hidden
    call: {server: a, tool: post_out, args: {to: "${fake:email}"}}
    expect: {verdict: tokenize, rules: [pii.out], sent: {to: "${token:pii.email}"}}
  - {name: known, call: {server: a, tool: look_up, args: {to: "${fake:email}"}}, expect: {verdict: allow, rules: []}}
"""


@pytest.fixture(scope="module")
def judged(homes: Callable[..., Home], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Home]:
    """A home with policies of its own, whose collector runs too."""
    import pwd

    folder = tmp_path_factory.mktemp("policies")
    who = pwd.getpwuid(os.getuid()).pw_name
    for name, text in (("secrets", SECRETS), ("access", ACCESS), ("people", USER.replace("WHO", who)), ("addresses", TOKENS)):
        (folder / f"{name}.yaml").write_text(text)
    home = homes("servers: []", policies=folder)
    programs: list[Program] = [home.proxy(), home.program("collect")]
    until(lambda: is_open(home.reader_port), "the collector")
    yield home
    for program in programs:
        program.stop()


@pytest.fixture
def echo(judged: Home) -> Iterator[Client]:
    """A client of a server that answers with the line it got, or calls it stray."""
    client = Client(judged.wrap(*python(ECHO)))
    yield client
    client.close()


SAY = """
import sys
for line in sys.stdin.buffer:
    sys.stdout.buffer.write(bytes.fromhex(SAID) + b"\\n"); sys.stdout.buffer.flush()
"""


def test_case_25_stray_text_passes_byte_exact(judged: Home) -> None:
    """Log lines, invalid UTF-8, CRLF, blanks and a last line without its end, in both directions."""
    copy = "import os\nwhile data := os.read(0, 65536): os.write(1, data)"
    text = b"hello\r\n\r\n\n[INFO] \xff\xfe\x80 \x00 caf\xe9\nx\xe2\x80\xa8y\x85\n\tlast line {without} its end"
    process = judged.wrap(*python(copy))
    out, err = process.communicate(text, 60)
    assert (out, err) == (text, b"")


@pytest.mark.parametrize(
    ("line", "rpc_id"),
    [
        (b"[" + call("t")[:-1] + b"]\n", None),
        (call("t")[:-1] + call("t"), None),
        (b'{"jsonrpc": "2.0",\n', None),
        (b"\xef\xbb\xbf" + call("t"), 1),
        (b"x\r" + call("t"), None),
        (b"x\xe2\x80\xa8" + call("t"), None),
        (b'{"jsonrpc":"2.0","id":3,"method":"tools/call","method":"ping"}\n', 3),
        (b'{"jsonrpc":"2.0","id":4,"method":"ping","params":{"n":NaN}}\n', 4),
        (b'{"jsonrpc":"2.0","id":null,"method":"ping"}\n', None),
        (b'{"jsonrpc":"2.0","id":1.5,"method":"ping"}\n', None),
        (b'{"hello":"world"}\n', None),
        (b'{"jsonrpc":"2.0","id":5,"method":"ping","x":"\xff"}\n', 5),
    ],
)
def test_case_25_what_servers_may_read_differently_is_refused(echo: Client, line: bytes, rpc_id: object) -> None:
    """Two objects, batches, pretty print, other line ends: a clear error with the id where it is sure, and no more."""
    echo.send(line, request("ping", 99))
    said = echo.answer()
    assert said["id"] == rpc_id
    assert said["error"]["code"] in (-32700, -32600) and said["error"]["message"].startswith("sidecar: ")
    assert echo.answer()["id"] == 99, "the server never saw the line, and the next one passes"


def test_a_bare_cr_between_tokens_does_not_split_a_message(echo: Client) -> None:
    """A server that reads text with universal newlines gets the message whole."""
    inner = call("delete_all", 8)[:-1]
    echo.send(b'{"jsonrpc":"2.0","id":7,"method":"ping","params":{"a":\r' + inner + b"\r}}\r\n")
    assert b"\r" not in echo.answer()["result"]["got"].encode()


def test_pretty_printed_json_of_a_client_never_arrives(echo: Client) -> None:
    """A server that reads values instead of lines gets no whole one."""
    pretty = json.dumps(json.loads(call("delete_all")), indent=1).encode() + b"\n"
    echo.send(pretty, request("ping", 99))
    lines = []
    while b'"id": 99' not in (line := echo.line()):
        lines.append(line)
    assert not any(line.startswith(b"stray") and b"{" in line for line in lines)
    assert b"sidecar: " in lines[0]


@pytest.mark.parametrize(
    "said",
    [
        b'{"jsonrpc":"2.0","id":1,"result":{"x":"SECRET"}}{"jsonrpc":"2.0","id":1,"result":{}}',
        b'log\r{"jsonrpc":"2.0","id":1,"result":{"x":"SECRET"}}',
        b'log\xe2\x80\xa8{"jsonrpc":"2.0","id":1,"result":{"x":"SECRET"}}',
    ],
)
def test_an_answer_only_some_clients_can_read_is_not_passed_on(judged: Home, said: bytes) -> None:
    """The one request it may answer gets an error, so nothing hangs and nothing leaks."""
    said = said.replace(b"SECRET", aws_key().encode())
    client = Client(judged.wrap(*python(SAY.replace("SAID", repr(said.hex())))))
    client.send(call("t"))
    answer = client.answer()
    assert answer["id"] == 1 and "cannot be read safely" in answer["error"]["message"]
    client.close()


def test_an_answer_nested_too_deep_to_be_read_is_not_passed_on(judged: Home) -> None:
    """Node reads what would exhaust us, so its client gets an error instead."""
    deep = "b'{\"jsonrpc\":\"2.0\",\"id\":1,\"result\":' + b'[' * 200_000 + b']' * 200_000 + b'}'"
    client = Client(judged.wrap(*python(SAY.replace("bytes.fromhex(SAID)", deep))))
    client.send(call("t"))
    answer = client.answer()
    assert answer["id"] == 1 and "cannot be read safely" in answer["error"]["message"]
    client.close()


def test_a_blocked_call_never_reaches_the_server(echo: Client) -> None:
    """A tool call is refused as a result the model reads, and the line after it is the server's first."""
    echo.send(call("upload", 1, key=aws_key()), request("ping", 2))
    refused = echo.answer()
    assert refused["id"] == 1 and refused["result"]["isError"]
    assert "It contains a credential." in refused["result"]["content"][0]["text"]
    assert echo.answer()["id"] == 2


def test_a_secret_in_an_answer_is_redacted_in_place(judged: Home) -> None:
    """The rest of the answer keeps its bytes."""
    line = b'{ "jsonrpc":"2.0", "id":1,"result":{"n":1.50,"x":"key SECRET!"} }'
    client = Client(judged.wrap(*python(SAY.replace("SAID", repr(line.replace(b"SECRET", aws_key().encode()).hex())))))
    client.send(call("t"))
    assert client.line() == line.replace(b"SECRET", b"[secrets.aws-key]") + b"\n"
    client.close()


def test_a_value_travels_as_a_token_over_stdio(judged: Home, echo: Client) -> None:
    """One tool gets a token, another of the same process the value it stands for; the record has the token alone."""
    mail = "ada" + "@ourco.example"
    echo.send(call("post_out", to=f"<{mail}>"))
    hidden = json.loads(echo.answer()["result"]["got"])["params"]["arguments"]["to"]
    assert hidden.startswith("<tkn-email-") and mail not in hidden
    echo.send(call("look_up", who=[f"is {hidden} there?"]))
    assert json.loads(echo.answer()["result"]["got"])["params"]["arguments"] == {"who": [f"is <{mail}> there?"]}
    echo.close()
    sql = "SELECT verdict, attrs['tokens_restored'], position(request, 'tkn-email-') > 0, position(request, 'ourco') FROM calls"
    found = f"{sql} WHERE tool IN ('post_out', 'look_up') ORDER BY ts"
    until(lambda: len(judged.rows(found)) == 2, "the calls in the record")
    assert judged.rows(found)[1] == ("allow", "1", 1, 0)
    assert judged.rows(found)[0] == ("tokenize", "", 1, 0)


PARTS = """
import json, sys
said = json.loads(sys.stdin.readline())
for part in PARTS:
    params = {"progressToken": "p", "progress": 1, "message": part}
    print(json.dumps({"jsonrpc": "2.0", "method": "notifications/progress", "params": params}), flush=True)
print(json.dumps({"jsonrpc": "2.0", "id": said["id"], "result": {}}), flush=True)
sys.stdin.read()
"""


def test_a_credential_cut_in_two_is_found_over_stdio(judged: Home) -> None:
    """The second part of it is taken out of the progress message that brings it."""
    key = aws_key()
    client = Client(judged.wrap(*python(PARTS.replace("PARTS", repr([f"key {key[:8]}", f"{key[8:]} read"])))))
    client.send(request("tools/call", 1, name="t", arguments={}, _meta={"progressToken": "p"}))
    told = [client.answer()["params"]["message"] for _ in range(2)]
    assert told == [f"key {key[:8]}", "[secrets.aws-key] read"]
    assert client.answer()["id"] == 1
    client.close()


def test_no_place_of_a_line_lets_a_value_through(judged: Home, echo: Client) -> None:
    """The places that are tried over HTTP are tried over stdio too: what a line holds does not get past it."""
    out = [each for each in SURFACES if (each.way, each.method, each.era) == ("request", "tools/call", "handshake")]
    for number, each in enumerate(out):
        echo.send(json.dumps(each.message(number)).encode() + b"\n")
        assert "secrets.out" in echo.line().decode(), each.id
    back = [each for each in SURFACES if each.way in ("answer", "failure") and each.method in ("tools/call", "tools/list")]
    lines = [json.dumps(each.message(number)).encode() for number, each in enumerate(back)]
    client = Client(
        judged.wrap(*python(f"import sys\nfor line in {lines!r}:\n    sys.stdin.readline(); print(line.decode(), flush=True)"))
    )
    for number, each in enumerate(back):
        client.send(json.dumps({"jsonrpc": "2.0", "id": number, **MESSAGES["request", each.method]}).encode() + b"\n")
        line = client.line()
        assert json.loads(line)["id"] == number
        assert not [form for form in forms(aws_key()) if form in line], each.id
    client.close()


def test_a_denied_tool_is_not_listed(judged: Home) -> None:
    """Lists leave out what a policy denies, over stdio too."""
    tools = json.dumps({"jsonrpc": "2.0", "id": 1, "result": {"tools": [{"name": "get"}, {"name": "delete_all"}]}})
    client = Client(judged.wrap(*python(SAY.replace("SAID", repr(tools.encode().hex())))))
    client.send(request("tools/list"))
    assert [tool["name"] for tool in client.answer()["result"]["tools"]] == ["get"]
    client.close()


def test_a_question_of_the_server_that_is_refused_becomes_a_ping(judged: Home) -> None:
    """Nobody is asked, and the server reads a declined answer."""
    code = """
import json, sys
sys.stdin.readline()
ask = {"jsonrpc": "2.0", "id": 0, "method": "elicitation/create", "params": {"message": KEY}}
print(json.dumps(ask), flush=True)
said = json.loads(sys.stdin.readline())
print(json.dumps({"jsonrpc": "2.0", "id": 1, "result": said}), flush=True)
"""
    client = Client(judged.wrap(*python(code.replace("KEY", repr("pay " + aws_key())))))
    client.send(call("t"))
    asked = client.answer()
    assert asked == {"jsonrpc": "2.0", "id": 0, "method": "ping"}
    client.send(b'{"jsonrpc":"2.0","id":0,"result":{}}\n')
    declined = client.answer()["result"]
    assert declined["id"] == 0 and declined["error"]["code"] == -1
    client.close()


def test_the_user_of_the_operating_system_is_a_verified_identity(echo: Client) -> None:
    """A rule about a user works over stdio: the kernel says who calls."""
    echo.send(call("for_others", 1), call("for_all", 2))
    answers = {answer["id"]: answer for answer in (echo.answer(), echo.answer())}
    assert answers[1]["result"]["isError"]
    assert "got" in answers[2]["result"]


def test_a_call_over_stdio_stands_in_the_record(judged: Home) -> None:
    """Transport, session kind, user, era, protocol and client are told; the wrap process is the session."""
    import pwd

    client = Client(judged.wrap(*python(ECHO)))
    client.send(
        request("initialize", 0, protocolVersion="2025-06-18", capabilities={}, clientInfo={"name": "probe-x", "version": "3"})
    )
    client.answer()
    client.send(b'{"jsonrpc":"2.0","method":"notifications/initialized"}\n', call("noted", 1))
    assert client.answer()["id"] == 1
    client.close()
    columns = "transport, session_kind, user, era, protocol, client, status, kind"
    sql = f"SELECT {columns} FROM calls WHERE client = 'probe-x' ORDER BY ts"
    until(lambda: len(judged.rows(sql)) == 3, "the calls in the record")
    who = pwd.getpwuid(os.getuid()).pw_name
    same = ("stdio", "wrap", who, "handshake", "2025-06-18", "probe-x")
    assert judged.rows(sql) == [(*same, "ok", "request"), (*same, "notification", "notification"), (*same, "ok", "request")]
    assert judged.rows("SELECT uniqExact(session) FROM calls WHERE client = 'probe-x'") == [(1,)]


def test_a_modern_process_is_recorded_as_such(judged: Home) -> None:
    """The era is what its requests say, and its notifications have none of their own."""
    meta = {"io.modelcontextprotocol/protocolVersion": "2026-07-28", "io.modelcontextprotocol/clientInfo": {"name": "modern-x"}}
    client = Client(judged.wrap(*python(ECHO)))
    client.send(
        request("tools/list", 1, _meta=meta), b'{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":9}}\n'
    )
    assert client.answer()["id"] == 1
    client.close()
    sql = "SELECT DISTINCT era FROM calls WHERE session IN (SELECT session FROM calls WHERE client = 'modern-x')"
    until(lambda: judged.rows(sql) == [("modern",)], "one era for the process")


def test_case_25_a_server_that_dies_mid_call_answers_with_its_exit_code(judged: Home) -> None:
    """A client that still reads gets an error for each open request, then the end; the record says why."""
    client = Client(judged.wrap(*python("import sys; sys.stdin.readline(); sys.stdin.readline(); raise SystemExit(7)")))
    client.send(call("dies", 1), call("dies", "two"))
    answers = [client.answer(), client.answer()]
    assert [answer["id"] for answer in answers] == [1, "two"]
    assert "exit code 7" in answers[0]["error"]["message"]
    assert client.line() == b""
    assert client.close() == 7
    sql = "SELECT status, error_type FROM calls WHERE tool = 'dies'"
    until(lambda: judged.rows(sql) == [("upstream_error", "server_ended")] * 2, "the calls in the record")


def test_a_client_that_leaves_is_recorded_as_such(judged: Home) -> None:
    """What was open when the client closed its side is cancelled, and is no failure of the server."""
    client = Client(judged.wrap(*python("import sys; sys.stdin.read()")))
    client.send(call("left", 1))
    client.close()
    until(
        lambda: judged.rows("SELECT status, error_type FROM calls WHERE tool = 'left'") == [("cancelled", "client_left")], "it"
    )


def test_a_killed_client_process_leaves_no_open_call(judged: Home) -> None:
    """The wrap process of a call vanished: the record says that, at once."""
    client = Client(judged.wrap(*python("import sys; sys.stdin.readline(); print('got it', flush=True); sys.stdin.read()")))
    client.send(call("orphan", 1))
    assert client.line() == b"got it\n"
    found = "SELECT count() FROM calls WHERE tool = 'orphan'"
    client.process.kill()
    client.close()
    until(lambda: judged.rows(found) == [(1,)], "the call in the record")
    assert judged.rows("SELECT status FROM calls WHERE tool = 'orphan'")[0][0] in ("upstream_error", "no_response", "cancelled")


def test_a_cancelled_call_ends_soon_in_the_record(judged: Home) -> None:
    """Most servers do not answer what was cancelled, and without an end the call would stay open for days."""
    client = Client(judged.wrap(*python("import sys; sys.stdin.read()")))
    client.send(call("slow", 5), b'{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":5}}\n')
    until(lambda: judged.rows("SELECT status FROM calls WHERE tool = 'slow'") == [("cancelled",)], "the call in the record")
    client.close()


def test_case_14_an_11_mb_line_passes_in_bounded_memory(judged: Home) -> None:
    """The line arrives whole in both directions, while relay and proxy hold no more than a few copies of it."""
    from tests.wrap.test_command import relay_of

    client = Client(judged.wrap(*python(ECHO)))
    relay = until(lambda: relay_of(client.process.pid), "the relay")
    proxy = int(next(judged.run.glob("*.lock")).read_text())

    def resident(process: int, what: str) -> int:
        return int(Path(f"/proc/{process}/status").read_text().partition(what)[2].split()[0])

    before = resident(proxy, "VmRSS:")
    text = "lorem ipsum " * (11 * 1024 * 1024 // 12)
    client.send(call("big", 1, text=text))
    answer = client.answer(60)
    assert text in answer["result"]["got"]
    assert resident(relay, "VmHWM:") < 90_000, "of KiB: the line, and its bytes on the way"
    assert resident(proxy, "VmHWM:") - before < 400_000
    client.close()


def test_a_line_over_the_bound_is_refused_and_the_next_one_passes(judged: Home) -> None:
    """What is not held cannot be judged: its request gets an error, in either direction."""
    code = """
import sys
for line in sys.stdin:
    if "big" in line:
        sys.stdout.write('{"jsonrpc":"2.0","id":1,"result":{"x":"')
        for _ in range(70):
            sys.stdout.write("x" * 1048576)
        print('"}}', flush=True)
    else:
        print('{"jsonrpc":"2.0","id":2,"result":{}}', flush=True)
"""
    client = Client(judged.wrap(*python(code)))
    client.send(call("big", 1))
    answer = client.answer(60)
    assert answer["id"] == 1 and "longer than 64 MiB" in answer["error"]["message"]
    client.send(call("next", 2))
    assert client.answer() == {"jsonrpc": "2.0", "id": 2, "result": {}}
    client.close()
