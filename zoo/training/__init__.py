"""Training: `zoo train` and `zoo.train`."""
