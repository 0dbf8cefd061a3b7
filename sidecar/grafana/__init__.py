"""Grafana: boards written as data, built into dashboard JSON, and pushed so that twice is the same as once."""
