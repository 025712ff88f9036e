"""Hugging Face's folders, there and back."""
