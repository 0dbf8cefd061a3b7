"""What the policy tests share: the real detectors."""

import pytest

from sidecar.detect.engine import Engine


@pytest.fixture(scope="session")
def engine() -> Engine:
    """All detectors, compiled once."""
    return Engine()
