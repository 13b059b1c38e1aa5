"""What queues say of their jobs, as their manuals print it."""

from __future__ import annotations

import pytest

from scanlink.cluster.failures import is_limit
from scanlink.cluster.queues import Ended, JobState, is_passing, parse_states, run

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
    assert parse_states("slurm", text)["8"] == JobState("PENDING", "(Resources)", pending=True)
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
