"""Builds dashboard JSON from boards. ``python -m sidecar.grafana.build_boards`` writes the JSON files that are committed.

The JSON is the classic model (schemaVersion 42), which Grafana 11.6 to 13 read from files and through their API; file
provisioning refuses the newer one. Types: https://github.com/grafana/grafana/tree/main/packages/grafana-schema.
"""

import hashlib
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from sidecar.grafana.board import Annotation, Board, Column, Panel, Variable, load_board
from sidecar.settings import shipped

SOURCE_UID: Final = "sidecar-clickhouse"
PLUGIN: Final = "grafana-clickhouse-datasource"
TAG: Final = "sidecar"
DEFAULT_PAGE: Final = "http://127.0.0.1:8501"

Json = dict[str, Any]

_SOURCE: Final = {"type": PLUGIN, "uid": SOURCE_UID}
_PLUGIN_VERSION: Final = "4.20.0"
_TIME_SERIES, _TABLE = 0, 1
_OPTIONS: Final[dict[str, Json]] = {
    "stat": {
        "reduceOptions": {"values": False, "calcs": ["lastNotNull"], "fields": "/.*/"},
        "colorMode": "value",
        "graphMode": "none",
        "justifyMode": "auto",
        "orientation": "auto",
        "textMode": "value",
        "wideLayout": True,
        "showPercentChange": False,
        "percentChangeColorMode": "standard",
    },
    "timeseries": {
        "legend": {"displayMode": "list", "placement": "bottom", "showLegend": True, "calcs": ["sum"]},
        "tooltip": {"mode": "multi", "sort": "desc"},
    },
    "table": {"showHeader": True, "cellHeight": "sm"},
}
_BARS: Final = {
    "drawStyle": "bars",
    "lineWidth": 0,
    "fillOpacity": 85,
    "barAlignment": 0,
    "showPoints": "never",
    "stacking": {"mode": "normal", "group": "A"},
}


def dashboard(board: Board, database: str = "sidecar", page: str = DEFAULT_PAGE) -> Json:
    """The dashboard of a board over tables in ``database``, with links to the review page at ``page``.

    Its tag ``sidecar:<hash>`` changes with its content, so that a push sees a change without comparing.
    """

    def fill(text: str) -> str:
        return text.replace("{where}", board.where).replace("{database}", database).replace("{page}", page)

    built: Json = {
        "uid": board.uid,
        "title": board.title,
        "description": board.question,
        "schemaVersion": 42,
        "editable": True,
        "graphTooltip": 1,
        "fiscalYearStartMonth": 0,
        "timezone": "",
        "weekStart": "",
        "preload": False,
        "refresh": board.refresh,
        "time": {"from": board.range, "to": "now"},
        "timepicker": {},
        "templating": {"list": [_variable(variable, fill) for variable in board.variables]},
        "annotations": {"list": [_annotation(annotation, fill) for annotation in board.annotations]},
        "links": [
            {
                "title": link.title,
                "url": fill(link.url),
                "type": "link",
                "icon": "external link",
                "tooltip": "",
                "tags": [],
                "asDropdown": False,
                "targetBlank": True,
                "includeVars": False,
                "keepTime": False,
            }
            for link in board.links
        ],
        "panels": [_panel(number, panel, fill) for number, panel in enumerate(board.panels, 1)],
    }
    digest = hashlib.sha256(json.dumps(built, sort_keys=True).encode()).hexdigest()
    return built | {"tags": [TAG, f"{TAG}:{digest[:12]}"]}


def target(sql: str, form: int, ref: str = "A") -> Json:
    """A query as the plugin stores it."""
    return {
        "refId": ref,
        "datasource": _SOURCE,
        "editorType": "sql",
        "queryType": "timeseries" if form == _TIME_SERIES else "table",
        "rawSql": sql,
        "format": form,
        "pluginVersion": _PLUGIN_VERSION,
    }


def _variable(variable: Variable, fill: Callable[[str], str]) -> Json:
    sql = fill(variable.sql)
    return {
        "type": "query",
        "name": variable.name,
        "label": variable.label,
        "datasource": _SOURCE,
        "definition": sql,
        "query": {"editorType": "sql", "rawSql": sql, "refId": f"variable-{variable.name}"},
        "refresh": 2,
        "regex": "",
        "sort": 0,
        "multi": True,
        "includeAll": True,
        "hide": 0,
        "skipUrlSync": False,
        "options": [],
        "current": {"text": ["All"], "value": ["$__all"]},
    }


def _annotation(annotation: Annotation, fill: Callable[[str], str]) -> Json:
    return {
        "name": annotation.name,
        "datasource": _SOURCE,
        "enable": True,
        "hide": False,
        "iconColor": annotation.colour,
        "target": target(fill(annotation.sql), _TABLE, "Anno"),
    }


def _panel(number: int, panel: Panel, fill: Callable[[str], str]) -> Json:
    x, y, width, height = panel.at
    form = _TIME_SERIES if panel.kind == "timeseries" else _TABLE
    return {
        "id": number,
        "type": panel.kind,
        "title": panel.title,
        "description": panel.description,
        "datasource": _SOURCE,
        "gridPos": {"x": x, "y": y, "w": width, "h": height},
        "targets": [target(fill(panel.sql), form)],
        "fieldConfig": {"defaults": _defaults(panel), "overrides": _overrides(panel, fill)},
        "options": _OPTIONS[panel.kind],
    }


def _defaults(panel: Panel) -> Json:
    steps = [{"value": None, "color": "text"}, *({"value": step.start, "color": step.colour} for step in panel.steps)]
    words = [
        {
            "type": "range",
            "options": {"from": word.start, "to": word.end, "result": {"text": word.text, "index": index}},
        }
        for index, word in enumerate(panel.words)
    ]
    defaults: Json = {
        "unit": panel.unit,
        "mappings": words,
        "thresholds": {"mode": "absolute", "steps": steps},
        "color": {"mode": "thresholds"},
    }
    if panel.decimals is not None:
        defaults["decimals"] = panel.decimals
    if panel.empty:
        defaults["noValue"] = panel.empty
    if panel.kind == "timeseries":
        defaults |= {"custom": _BARS, "color": {"mode": "palette-classic"}, "min": 0}
    if panel.series:
        defaults["displayName"] = f"${{__field.labels.{panel.series}}}"
    return defaults


def _overrides(panel: Panel, fill: Callable[[str], str]) -> list[Json]:
    coloured = [
        _override(name, [{"id": "color", "value": {"mode": "fixed", "fixedColor": colour}}])
        for name, colour in panel.colours.items()
    ]
    return coloured + [_override(name, _column(column, fill)) for name, column in panel.columns.items()]


def _override(name: str, properties: list[Json]) -> Json:
    return {"matcher": {"id": "byName", "options": name}, "properties": properties}


def _column(column: Column, fill: Callable[[str], str]) -> list[Json]:
    properties: list[Json] = [{"id": "displayName", "value": column.title}, {"id": "unit", "value": column.unit}]
    if column.link:
        link = {"title": "Open on the review page", "url": fill(column.link), "targetBlank": True}
        properties.append({"id": "links", "value": [link]})
    return properties


def board_files() -> list[Path]:
    """The boards that come with the program."""
    return sorted((shipped("dashboards") / "grafana").glob("*.yaml"))


def as_text(built: Json) -> str:
    """The JSON file of a dashboard, as it is committed."""
    return json.dumps(built, indent=2, ensure_ascii=False) + "\n"


def main() -> int:
    """Write the JSON file of each board beside it."""
    for file in board_files():
        file.with_suffix(".json").write_text(as_text(dashboard(load_board(file))), "utf-8")
        sys.stdout.write(f"{file.with_suffix('.json').name}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
