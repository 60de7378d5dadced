"""Measure how well vectors recover the categories: clusterings, trees, geometry, maps, and their scores."""
