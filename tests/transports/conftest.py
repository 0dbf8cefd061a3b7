"""The sidecar without a network, for every test here."""

from tests.play import play as play
