"""Search for settings: what may vary, samplers, a journal that survives, the best written back."""
