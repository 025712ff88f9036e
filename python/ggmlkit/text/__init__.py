"""Converts text to token ids and back; renders chat templates."""
