"""A model on disk: config.json, card, weights, results and picture, read and written."""
