"""The training loop: index batches, compiled epochs, exact resume. TensorFlow only."""
