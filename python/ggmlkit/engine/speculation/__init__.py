"""Speculation: tokens that are guessed, then computed in one step instead of one step each."""
