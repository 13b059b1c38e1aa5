"""A Dask client, from a profile."""

from scanlink.cluster.client import client

__all__ = ["client"]
