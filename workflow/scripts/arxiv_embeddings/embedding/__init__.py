"""From papers to verified vectors: batches, encoder, shards, vector store and merging."""
