"""Faults of real processes and servers, seeded; whether each accepted job had its one outcome.

`python -m benchmarks.chaos --help`.
"""
