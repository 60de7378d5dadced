"""From papers to verified vectors: batches, encoder, shards, merging."""
