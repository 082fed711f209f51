"""From tables and text vectors to arrays: what is fitted on training rows, saved and loaded."""
