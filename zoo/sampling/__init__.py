"""What makes sample i its own: random numbers, batching, precision, processes."""
