"""Our systems beside the field's, on frozen splits: ``make bench``; see README.md here."""
