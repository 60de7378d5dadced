"""Estimate the cost of embedding a sample before it is embedded."""
