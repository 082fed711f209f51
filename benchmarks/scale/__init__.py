"""Curves over sizes that no domain of this repository has."""
