"""Checks for everything that would keep a run from working with a cluster profile."""
