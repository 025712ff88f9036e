"""How good a model is: perplexity, distance from a base, multiple choice, what layers cost."""

from ggmlkit.evaluation.choice_lines import Question, read_questions
from ggmlkit.evaluation.choosing import MultipleChoice, multiple_choice
from ggmlkit.evaluation.estimate import Estimate
from ggmlkit.evaluation.evaluating import perplexity
from ggmlkit.evaluation.report_page import write_page
from ggmlkit.evaluation.reporting import ModelReport, Report, report
from ggmlkit.evaluation.results import Divergence, Perplexity

__all__ = [
    "Divergence",
    "Estimate",
    "ModelReport",
    "MultipleChoice",
    "Perplexity",
    "Question",
    "Report",
    "multiple_choice",
    "perplexity",
    "read_questions",
    "report",
    "write_page",
]
