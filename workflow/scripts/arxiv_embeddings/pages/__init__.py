"""Pages of the report that hold tables."""
