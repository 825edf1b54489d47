"""Shards → augmented batches: epoch plan, reader, augmentation, the DALI graph, loaders."""
