"""A fake Hugging Face Hub in memory, for the real huggingface_hub client."""
