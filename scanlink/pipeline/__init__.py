"""Runs of experiments: what each reads, and one run for all of them."""
