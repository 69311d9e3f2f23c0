"""The Hugging Face Hub: fetch a repository, publish a folder. No model is known here."""
