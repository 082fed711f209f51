"""The book: pages filled with results, cards, and sources for Sphinx (``make book``)."""
