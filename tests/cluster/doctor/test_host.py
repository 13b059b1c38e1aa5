"""What the doctor looks at on this host."""

from __future__ import annotations

from scanlink.cluster.doctor.host import check_network
from scanlink.cluster.doctor.report import Case, Node, Report
from scanlink.cluster.profile import load_profile


def test_check_network__of_loopback_when_the_nodes_are_elsewhere():
    case = Case(load_profile("slurm", interface="lo"), Report("slurm"))
    assert check_network(case)[0] == "ok"
    case.nodes = [Node(name, 4, 2**33, "idle", name) for name in ("n1", "n2")]
    state, found, _ = check_network(case)
    assert state == "fault"
    assert "out of reach of 'n1', 'n2'" in found
