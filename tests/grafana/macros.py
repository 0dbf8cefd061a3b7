"""What a panel's query becomes on its way: variables and ``$__conditionalAll`` in the browser, macros in the plugin.

Written after the plugin's own code (grafana/clickhouse-datasource: ``src/data/CHDatasource.ts`` and ``pkg/macros/macros.go``)
and Grafana's ``singlequote`` format. Only tests use it; an unknown macro is left as it is, and fails in ClickHouse.
"""

import re
from datetime import datetime

ALL = ("$__all",)


def expand(sql: str, start: datetime, end: datetime, interval_s: int = 60, **variables: tuple[str, ...]) -> str:
    """``sql`` as ClickHouse gets it, for a range of time and chosen variables; ``ALL`` is the choice of everything."""
    for name, chosen in variables.items():
        sql = _conditional_all(sql, name, chosen)
        quoted = ",".join("'" + value.replace("'", "\\'") + "'" for value in chosen)
        sql = sql.replace(f"${{{name}:singlequote}}", quoted)
    return _macros(sql, start, end, interval_s)


def _conditional_all(sql: str, name: str, chosen: tuple[str, ...]) -> str:
    macro = "$__conditionalAll("
    while (at := sql.rfind(macro)) != -1:
        first, second = _arguments(sql, at + len(macro) - 1)
        assert second.strip() == f"${name}", "the second argument must be the bare variable"
        sql = sql.replace(f"{macro}{first},{second})", "1=1" if chosen == ALL else first)
    return sql


def _arguments(sql: str, bracket: int) -> list[str]:
    found: list[str] = []
    depth, start = 0, bracket + 1
    for at in range(bracket, len(sql)):
        depth += {"(": 1, ")": -1}.get(sql[at], 0)
        if depth == 0:
            return [*found, sql[start:at]]
        if depth == 1 and sql[at] == ",":
            found.append(sql[start:at])
            start = at + 1
    raise AssertionError("a bracket is not closed")


def _macros(sql: str, start: datetime, end: datetime, interval_s: int) -> str:
    first, last = f"toDateTime({int(start.timestamp())})", f"toDateTime({int(end.timestamp())})"
    with_argument = {
        "timeFilter": lambda of: f"{of} >= {first} AND {of} <= {last}",
        "timeFrom": lambda of: f"{of} >= {first}",
        "timeTo": lambda of: f"{of} <= {last}",
        "timeInterval": lambda of: f"toStartOfInterval(toDateTime({of}), INTERVAL {max(1, interval_s)} second)",
    }
    bare = {"fromTime": first, "toTime": last, "interval_s": str(max(1, interval_s))}
    sql = re.sub(r"\$__(\w+)(?!\w|\()", lambda found: bare.get(found[1], found[0]), sql)
    while found := re.search(r"\$__(timeFilter|timeFrom|timeTo|timeInterval)\(", sql):
        (argument,) = _arguments(sql, found.end() - 1)
        sql = sql.replace(f"{found[0]}{argument})", with_argument[found[1]](argument.strip()))
    return sql
