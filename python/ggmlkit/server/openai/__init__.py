"""The API of OpenAI: its shapes, and its endpoints."""
