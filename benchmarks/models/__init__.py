"""Models of ours that only the benchmarks use, peers written here, and what both are given."""
