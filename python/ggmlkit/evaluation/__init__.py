"""How good a model is: perplexity, distance from a base, multiple choice, what layers cost."""

from ggmlkit.evaluation.estimate import Estimate
from ggmlkit.evaluation.perplexity import perplexity
from ggmlkit.evaluation.results import Divergence, Perplexity

__all__ = ["Divergence", "Estimate", "Perplexity", "perplexity"]
