"""A conversation with a model: its messages, its commands, where they are typed."""
