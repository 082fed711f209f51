"""Metrics and their intervals, on arrays of labels and predictions alone."""
