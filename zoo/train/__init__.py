"""Training: `zoo train RECIPE`."""
