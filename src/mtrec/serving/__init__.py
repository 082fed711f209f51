"""A trained model that answers requests."""
