"""What SLURM is asked: limits before a run, jobs and shards during it, a summary after it."""
