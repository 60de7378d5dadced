"""The config: its check, and what follows from it.

Snakemake imports this package when it reads the rules, so it needs no numpy, torch or pyarrow.
"""
