"""HTML tables of the report."""
