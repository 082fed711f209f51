"""Peers: single-task systems judged on the same test rows; :data:`mtrec.registry.PEERS` names them.

A peer is a function of a :class:`~mtrec.peers.base.PeerTask`: fitted on training rows, settings
chosen on validation rows. It returns a fitted :class:`~mtrec.peers.base.Specialist`, which answers
any rows and can be saved and asked again, or predictions of all examples in the form of the task
type's ``predict``.
"""
