"""Batch jobs: lines of prompts in, lines of answers out, over a scheduler."""
