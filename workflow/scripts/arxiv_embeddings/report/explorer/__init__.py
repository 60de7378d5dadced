"""The self-contained page to explore a map."""
