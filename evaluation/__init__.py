"""Checkpoint and dataset -> report: the protocol, with intervals."""
