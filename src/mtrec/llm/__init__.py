"""The language model: weights, tokenizer, backbone, and embeddings of texts."""
