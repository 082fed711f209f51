"""Bring your own data: strangers' files read safely, a domain proposed, and everything checked."""
