"""The comparison of shared layers, balancers, static weightings and heads, on equal terms."""
