"""Benchmarks: our systems and their peers on frozen splits, scored by one function."""
