"""Wall times as each queue writes them, and the lifetime that they leave."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scanlink.cluster.schedulers import SCHEDULERS
from scanlink.cluster.walltime import format_walltime, lifetime_for, lifetime_of, seconds_of, walltime_for
from scanlink.errors import OptionError

WITH_WALLTIME = [name for name, scheduler in SCHEDULERS.items() if scheduler.walltime is not None]


@pytest.mark.parametrize(
    ("text", "kind", "seconds"),
    [
        ("30", "slurm", 1800),
        ("30:00", "slurm", 1800),
        ("2-00", "slurm", 172800),
        ("1-02:03:04", "slurm", 93784),
        ("3600", "pbs", 3600),
        ("04:00:00", "sge", 14400),
        ("04:00", "lsf", 14400),
        ("90", "lsf", 5400),
        ("4", "oar", 14400),
    ],
)
def test_seconds_of__reads_what_each_queue_means(text, kind, seconds):
    assert seconds_of(text, kind, where="") == seconds


@pytest.mark.parametrize(
    ("text", "kind"), [("1-00:00:00", "pbs"), ("01:00:00", "lsf"), ("", "slurm"), ("1:2", "slurm")]
)
def test_seconds_of__refuses_what_a_queue_would_not_read(text, kind):
    with pytest.raises(OptionError, match=f"is not a wall time of {kind}"):
        seconds_of(text, kind, where="")


@given(st.floats(60, 30 * 86400))
def test_lifetime_for__ends_before_the_job_and_uses_most_of_it(walltime):
    lifetime = lifetime_for(walltime)
    longest = lifetime.seconds + lifetime.stagger
    assert longest <= walltime - min(300, walltime / 4) + 1e-6
    assert lifetime.seconds - lifetime.stagger >= 0.6 * walltime
    assert lifetime.stagger >= 0.0999 * lifetime.seconds


@given(st.floats(60, 30 * 86400), st.sampled_from(WITH_WALLTIME))
def test_format_walltime__is_read_back_as_no_less(seconds, kind):
    back = seconds_of(format_walltime(seconds, kind), kind, where="")
    assert seconds <= back <= seconds + 60


@given(st.floats(60, 86400))
def test_walltime_for__leaves_room(seconds):
    lifetime = lifetime_for(seconds)
    assert walltime_for(lifetime) > lifetime.seconds + lifetime.stagger


def test_lifetime_of__reads_all_ways_of_writing():
    for arguments in (["--lifetime", "1h"], ["--lifetime 1h"], ["--lifetime=1h"]):
        lifetime = lifetime_of(arguments, where="")
        assert lifetime is not None
        assert (lifetime.seconds, lifetime.stagger) == (3600, 0)
