"""What queues say of their jobs, as their manuals print it, and times as they write them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scanlink.cluster.failures import PACE, Failures, is_limit
from scanlink.cluster.queues import Ended, JobState, is_passing, parse_states, run
from scanlink.cluster.walltime import format_walltime, lifetime_for, lifetime_of, seconds_of, walltime_for
from scanlink.errors import OptionError

PBS = """
pbs-server:
                                                            Req'd  Req'd   Elap
Job ID          Username Queue    Jobname    SessID NDS TSK Memory Time  S Time
--------------- -------- -------- ---------- ------ --- --- ------ ----- - -----
1207.pbs-server ann      workq    scanlink    13371   1   1    4gb 04:00 R 00:12
1208.pbs-server ann      workq    scanlink      --    1   1    4gb 04:00 Q   --
1206.pbs-server ann      workq    scanlink    13370   1   1    4gb 04:00 E 04:00
"""
SGE = """job-ID  prior   name       user         state submit/start at     queue               slots ja-task-ID
----------------------------------------------------------------------------------------------------------
    231 0.55500 scanlink   ann          r     07/03/2024 10:23:11 all.q@node1             1
    232 0.00000 scanlink   ann          qw    07/03/2024 10:23:12                         1
"""
LSF = """JOBID   USER    STAT  QUEUE      FROM_HOST   EXEC_HOST   JOB_NAME   SUBMIT_TIME
3926    ann     RUN   normal     hostA       hostB       scanlink   Oct 22 13:51
3927    ann     PEND  normal     hostA       -           scanlink   Oct 22 13:52
3925    ann     EXIT  normal     hostA       hostB       scanlink   Oct 22 13:50
"""


@pytest.mark.parametrize(
    ("kind", "text", "running", "pending"),
    [("pbs", PBS, "1207", "1208"), ("sge", SGE, "231", "232"), ("lsf", LSF, "3926", "3927")],
    ids=["pbs", "sge", "lsf"],
)
def test_parse_states__reads_the_list_of_each_queue(kind, text, running, pending):
    states = parse_states(kind, text)
    assert sorted(states) == [running, pending]
    assert not states[running].pending
    assert states[pending].pending


def test_parse_states__of_slurm_has_reasons():
    text = "7_[2-9%2]|PENDING|JobArrayTaskLimit\n7_1|RUNNING|None\n8|PENDING|(Resources)\n"
    assert parse_states("slurm", text)["8"] == JobState("PENDING", "(Resources)")
    assert "7_1" in parse_states("slurm", text)


@pytest.mark.parametrize(
    ("message", "passing", "limit"),
    [
        (
            "sbatch: error: Batch job submission failed: Unable to contact slurm controller (connect failure)",
            True,
            False,
        ),
        ("sbatch: error: Batch job submission failed: Socket timed out on send/recv operation", True, False),
        ("sbatch: error: Slurm temporarily unable to accept job, sleeping and retrying", True, False),
        ("qsub: cannot connect to server pbs-server (errno=111)", True, False),
        ("sbatch: error: invalid partition specified: nosuch", False, False),
        ("sbatch: error: Batch job submission failed: Invalid account or account/partition combination", False, False),
        ("sbatch: error: QOSMaxSubmitJobPerUserLimit", False, True),
    ],
)
def test_messages__that_pass_are_told_from_those_that_stay(message, passing, limit):
    assert is_passing(message) is passing
    assert is_limit(message) is limit


@pytest.mark.parametrize(
    ("ended", "outside"),
    [
        (Ended("CANCELLED", "0:15"), True),
        (Ended("PREEMPTED", "0:15"), True),
        (Ended("FAILED", "1:0"), False),
        (
            Ended(
                "COMPLETING", "0:0", text="slurmstepd-n1: error: *** JOB 1 ON n1 CANCELLED AT 2026-11-21T10:47:20 ***"
            ),
            True,
        ),
        (
            Ended("COMPLETING", text="error: *** JOB 1 ON n1 CANCELLED AT 2026-11-21T10:47:20 DUE TO TIME LIMIT ***"),
            False,
        ),
        (Ended("COMPLETING", "0:0", text="Killed"), False),
    ],
)
def test_ended__knows_what_was_taken_away(ended, outside):
    assert ended.from_outside is outside


def test_run__answers_for_what_is_not_there():
    assert run("no-such-command")[0] == 127
    assert run("false")[0] == 1


def test_failures__wait_longer_and_longer():
    failures, pauses = Failures(), []
    for _ in range(8):
        failures.note("job 1 ended", PACE)
        pauses.append(round(failures.not_before - failures.when))
    assert pauses == [5, 10, 20, 40, 80, 160, 300, 300]


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


@given(st.floats(60, 30 * 86400), st.sampled_from(["slurm", "pbs", "lsf"]))
def test_format_walltime__is_read_back_as_no_less(seconds, kind):
    back = seconds_of(format_walltime(seconds, kind), kind, where="")
    assert seconds <= back <= seconds + 60


@given(st.floats(60, 86400))
def test_walltime_for__leaves_room(seconds):
    lifetime = lifetime_for(seconds)
    assert walltime_for(lifetime) > lifetime.seconds + lifetime.stagger


def test_lifetime_of__reads_all_ways_of_writing():
    for arguments in (["--lifetime", "1h"], ["--lifetime 1h"], ["--lifetime=1h"]):
        found = lifetime_of(arguments, where="")
        assert found is not None
        assert (found.seconds, found.stagger) == (3600, 0)
