"""Task types; :data:`mtrec.registry.TASK_TYPES` has their names."""
