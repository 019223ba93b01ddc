"""Objectives: auxiliary losses on a fusion's representations. None of them is in the inference graph."""
