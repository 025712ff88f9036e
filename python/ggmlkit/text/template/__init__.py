"""Renders chat templates in a separate process."""
