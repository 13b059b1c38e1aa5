"""Counts on disk, feature by feature, so that a worker reads only the genes and peaks that it tests."""
