"""Sweeps: search spaces, samplers, early termination, and studies made from trials.

Importing any module of this package is cheap and needs the standard library only; numpy, SciPy and
Optuna come in when a sampler or a study is made.
"""
