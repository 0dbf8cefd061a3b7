"""What the nasty cases of the wire are played with: the sidecar without a socket, from the tests of ``intercept``."""

from tests.intercept.conftest import play

__all__ = ["play"]
