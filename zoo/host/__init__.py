"""Plugins: found, listed, and their components built by name."""
