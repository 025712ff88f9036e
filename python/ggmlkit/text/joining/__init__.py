"""Adds tokens around encoded text, and joins tokens to text again."""
