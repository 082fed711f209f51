"""Peers: well-known systems judged on the same test rows; :data:`mtrec.registry.PEERS` names them.

A peer is fitted on training rows, chooses its settings on validation rows, and predicts all
examples in the form of the task type's ``predict``.
"""
