"""Many trainings that answer one question, a file each; their results are committed."""
