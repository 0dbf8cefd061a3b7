"""Large results: a hundred megabytes pass in bounded memory, and what would take far more than that is refused."""

import sys

import pytest

from benchmarks import large

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="a process's peak memory is read from /proc")


def test_a_result_of_100_mb_passes_in_bounded_memory() -> None:
    """It arrives byte for byte, and the proxy never holds more than eight times its size."""
    found = large.measure("one text", 100, 1)
    assert found.bytes >= 100_000_000
    assert found.peak_mib - found.idle_mib < 8 * found.bytes / large.MIB


def test_a_result_that_would_fill_the_memory_is_refused() -> None:
    """A hundred megabytes of the smallest objects would take gigabytes; the call gets an error, and the proxy stays small."""
    with pytest.raises(large.NotAsSent) as caught:
        large.measure("objects", 100, 1)
    assert caught.value.peak_mib < 1000
