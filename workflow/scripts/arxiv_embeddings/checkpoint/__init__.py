"""The checkpoint of a model: how it is fetched, what it declares, its tokenizer and its weights."""
