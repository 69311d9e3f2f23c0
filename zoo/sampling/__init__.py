"""What makes sample i its own: random numbers, batches, precision, processes."""
