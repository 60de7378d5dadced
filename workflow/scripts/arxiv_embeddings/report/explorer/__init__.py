"""The interactive page of a map, in one HTML file."""
