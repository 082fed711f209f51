"""What tasks have to do with each other: labels, gradients, affinity, transfer, grouping."""
