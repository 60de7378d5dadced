"""The page to explore a model's map with."""
