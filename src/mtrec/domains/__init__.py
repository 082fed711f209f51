"""Data sets, a file each; :data:`mtrec.registry.DOMAINS` has their names."""
