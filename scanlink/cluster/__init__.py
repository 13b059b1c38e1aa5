"""A Dask client, from a profile."""

from scanlink.cluster.client import check, client

__all__ = ["check", "client"]
