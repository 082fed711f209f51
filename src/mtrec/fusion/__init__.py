"""Fusion: for every task one answer from the joint model, its twin and the specialists."""
