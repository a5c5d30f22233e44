"""What Hugging Face's client asks its hub before it calls a provider, below `/hf`."""
