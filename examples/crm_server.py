"""A customer database as an MCP server, with the data people ask agents about and the data they should not hand out."""

from dataclasses import replace

from mcp.server import MCPServer
from mcp.server.mcpserver.exceptions import ToolError
from people import Customer, make_access_key, make_customers, make_token
from serving import serve

crm = MCPServer("crm", description="The demo's customer database.", version="1.0", log_level="WARNING")
customers = {customer.id: customer for customer in make_customers(seed=7)}


def _find(customer_id: int) -> Customer:
    if customer_id not in customers:
        raise ToolError(f"there is no customer {customer_id}; ids go from 1 to {len(customers)}")
    return customers[customer_id]


@crm.tool()
def get_customer(customer_id: int) -> Customer:
    """One customer by id, with everything we know."""
    return _find(customer_id)


@crm.tool()
def search_customers(text: str) -> list[str]:
    """The customers whose name or city contains the text, as "id: name, city"."""
    wanted = text.casefold()
    return [
        f"{one.id}: {one.name}, {one.city}"
        for one in customers.values()
        if wanted in one.name.casefold() or wanted in one.city.casefold()
    ]


@crm.tool()
def export_customers(limit: int = 20) -> str:
    """Customers as CSV, payment data included."""
    rows = [f"{one.id},{one.name},{one.email},{one.card},{one.iban}" for one in list(customers.values())[:limit]]
    return "\n".join(["id,name,email,card,iban", *rows])


@crm.tool()
def get_api_settings() -> dict[str, str]:
    """How the CRM reaches its neighbours. Careless servers answer with their credentials, and so does this one."""
    return {"region": "eu-north-1", "access_key_id": make_access_key(), "repository_token": make_token()}


@crm.tool()
def update_customer(customer_id: int, city: str) -> str:
    """Move a customer to another city."""
    customers[customer_id] = replace(_find(customer_id), city=city)
    return f"customer {customer_id} now lives in {city}"


if __name__ == "__main__":
    serve(crm, port=8001)
