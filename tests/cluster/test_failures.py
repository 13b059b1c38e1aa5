"""How jobs that fail are tried again."""

from __future__ import annotations

from scanlink.cluster.failures import PACE, Failures


def test_failures__wait_longer_and_longer():
    failures, pauses = Failures(), []
    for _ in range(8):
        failures.note("job 1 ended", PACE)
        pauses.append(round(failures.not_before - failures.when))
    assert pauses == [5, 10, 20, 40, 80, 160, 300, 300]
