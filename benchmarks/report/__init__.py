"""``reports/benchmarks/README.md`` and its figures, from ``benchmarks/results.json`` alone."""
