"""What is asked: a module per part, each with its ``PROTOCOLS``."""
