"""What is asked: a module per part, each with its ``PROTOCOLS``.

What several of them share is beside them: ``*_rows`` and ``*_scores``.
"""
