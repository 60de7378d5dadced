"""A model's result as a dataset: one Parquet file and a data card."""
