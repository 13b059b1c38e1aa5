"""What to change, from what a job or Slurm says."""

from __future__ import annotations

import pytest

from scanlink.cluster.doctor.start import remedy_for, remedy_for_reason
from scanlink.cluster.profile import load_profile


@pytest.mark.parametrize(
    ("words", "remedy"),
    [
        ("/x/python: No module named distributed", "python: an interpreter that has scanlink"),
        ("line 8: /x/python: No such file or directory", "python: one that the nodes can start"),
        # The cause stands above what followed from it.
        (
            "ValueError: 'ib0' is not a valid network interface. ...\n\nRuntimeError: Nanny failed to start.",
            "interface",
        ),
        ("mktemp: failed to create directory via template ‘/no/scanlink-0-XXXXXX’: No such file", "local-directory"),
        ("OSError: Timed out trying to connect to tcp://10.0.0.1:40000 after 30 s", "interface"),
        ("Error: Invalid value for '--tls-ca-file': Path '/a/key.pem' does not exist.", "shared-temp-directory"),
        ("slurmstepd: error: Detected 1 oom-kill event(s)", "memory"),
        ("", "log-directory"),
        ("something else", "what the last lines"),
    ],
)
def test_remedy_for__the_last_words_of_a_job(words, remedy):
    assert remedy_for(words, load_profile("slurm")).startswith(remedy)


@pytest.mark.parametrize(
    ("reason", "remedy"),
    [
        ("Resources", "wait longer"),
        ("ReqNodeNotAvail, UnavailableNodes:n1", "maintenance"),
        ("QOSMaxCpuPerUserLimit", "a limit of your account"),
        ("Cleaning", "man squeue"),
    ],
)
def test_remedy_for_reason__of_a_job_that_waits(reason, remedy):
    assert remedy in remedy_for_reason(reason)
