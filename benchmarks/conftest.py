"""What pytest passes by: scripts that run in environments of their own."""

collect_ignore = ["systems", "tests/reference"]
