"""What the config asks for, checked. Snakemake imports it while planning, so it needs no numpy, torch or pyarrow."""
