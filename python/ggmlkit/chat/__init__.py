"""Requests for texts as OpenAI's API has them: what they ask for, and what is answered."""
