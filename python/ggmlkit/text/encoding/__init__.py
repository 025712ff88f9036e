"""Words to the pieces of a vocabulary, one module a model."""
