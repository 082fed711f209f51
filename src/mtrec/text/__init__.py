"""The language model: weights, tokenizer, states, and vectors of texts."""
