"""Writes files a part at a time; a file appears complete or not at all."""
