"""Encoders, shared layers and the multi-task model, in Keras layers and operations only."""
