"""All models of a domain on its test rows, and the comparison with the committed reference."""
