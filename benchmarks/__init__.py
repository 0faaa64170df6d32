"""Measurements: each is a command, and compares with a named alternative in one run."""
