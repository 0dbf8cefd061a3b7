"""Grafana: boards written as data, built into dashboard JSON, and pushed to a Grafana server."""
