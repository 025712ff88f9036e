"""The Responses API of OpenAI: its shapes, and its endpoints."""
