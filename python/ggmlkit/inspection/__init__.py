"""Inspects files: differences between two, problems of one, and repair."""
