"""A model's checkpoint: fetching it, what it declares, its tokenizer and its weights."""
