"""Raw data and weights: downloaded, verified, and nothing else in their place."""
