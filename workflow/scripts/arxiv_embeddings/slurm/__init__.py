"""SLURM: limits checked before a run, the state of jobs and shards during it, a summary after it."""
