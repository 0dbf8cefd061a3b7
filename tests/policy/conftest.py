"""What the policy tests share: the real detectors."""

import pytest

from sidecar.detect import Engine
from tests import compiled


@pytest.fixture(scope="session")
def engine() -> Engine:
    """All detectors, compiled once."""
    return compiled.engine()
