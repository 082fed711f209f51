"""Bring your own data: files read safely, a domain proposed, and everything checked."""
