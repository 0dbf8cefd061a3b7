"""A mailbox as an MCP server: the way by which data leaves the house."""

from dataclasses import dataclass
from itertools import count

from mcp.server import MCPServer
from mcp.server.mcpserver.exceptions import ToolError
from people import make_customers
from serving import serve

mail = MCPServer("mail", description="The demo's mailbox.", version="1.0", log_level="WARNING")
numbers = count(100)


@dataclass(frozen=True)
class Letter:
    """One message in the inbox."""

    id: int
    sender: str
    subject: str
    body: str


inbox = {
    number: Letter(number, customer.email, subject, f"Hello,\n\n{text}\n\nBest regards\n{customer.name}")
    for number, (customer, subject, text) in enumerate(
        zip(
            make_customers(seed=7),
            ("Invoice", "Moving house", "Thank you"),
            ("could you send the invoice of last month again?", "please note our new address.", "that was quick!"),
            strict=False,
        ),
        start=1,
    )
}


@mail.tool()
def list_inbox() -> list[str]:
    """What came in, as "id: sender, subject"."""
    return [f"{letter.id}: {letter.sender}, {letter.subject}" for letter in inbox.values()]


@mail.tool()
def read_email(email_id: int) -> Letter:
    """One message in full."""
    if email_id not in inbox:
        raise ToolError(f"there is no message {email_id}; list_inbox names them")
    return inbox[email_id]


@mail.tool()
def send_email(to: str, subject: str, body: str) -> str:
    """Send a message to anybody (this demo only pretends to)."""
    return f"sent as {next(numbers)} to {to}: {subject} ({len(body)} characters)"


if __name__ == "__main__":
    serve(mail, port=8002)
