"""A Dask client, from a profile."""

from scanlink.cluster.client import check, client, problem
from scanlink.cluster.doctor.examine import Check, Report, doctor
from scanlink.cluster.profile import ArrayOptions, Jobs, Profile, load_profile
from scanlink.cluster.submit import driver_job, submit

__all__ = [
    "ArrayOptions",
    "Check",
    "Jobs",
    "Profile",
    "Report",
    "check",
    "client",
    "doctor",
    "driver_job",
    "load_profile",
    "problem",
    "submit",
]
