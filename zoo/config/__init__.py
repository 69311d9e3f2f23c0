"""Schemas of what people write: parts, config.json, recipes, and their one decoder."""
