"""A Hugging Face Hub of the tests' own, in memory, for the real huggingface_hub client."""
