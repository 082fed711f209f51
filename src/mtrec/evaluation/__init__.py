"""Metrics, intervals, baselines, figures and the comparison with committed references."""
