"""Audio without labels, any amount of it: lists, scans, batches."""
