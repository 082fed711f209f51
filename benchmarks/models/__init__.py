"""Algorithms of our own that only the benchmarks use."""
