"""How often a model finds the right ending of a text."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import numpy as np

from ggmlkit.arguments import check_progress, mapping, thread_count, whole
from ggmlkit.engine.model import Model
from ggmlkit.errors import ArgumentError
from ggmlkit.evaluation.choice_lines import Question, read_questions
from ggmlkit.evaluation.continuations import Continuation, continuations, pair_of
from ggmlkit.evaluation.estimate import Estimate, exponential_of, mean_of
from ggmlkit.io import Progress

if TYPE_CHECKING:
    from ggmlkit.evaluation.evaluating import AnyModel


@dataclass(frozen=True)
class MultipleChoice:
    """How often a model finds the right ending.

    Attributes:
        questions: how many were asked.
        acc: share of questions whose right ending has the highest sum of log-probabilities; where
            there is one ending alone, share of those of which each token is the likeliest.
        acc_norm: the same with sums divided by the characters of the ending, so that long endings
            are no worse. lm-eval's ``acc_norm``.
        perplexity: of the tokens of the right endings.
        chosen: the place of the ending chosen by ``acc_norm``, for each question; of those with one
            alone, 0 where it was found, otherwise -1.
    """

    questions: int
    acc: Estimate
    acc_norm: Estimate
    perplexity: Estimate
    chosen: tuple[int, ...]

    def as_dict(self) -> dict[str, Any]:
        """All of it as JSON can say it."""
        return asdict(self)


def multiple_choice(
    model: AnyModel,
    questions: str | os.PathLike[str] | Sequence[Question],
    *,
    most: int | None = None,
    settings: Mapping[str, Any] = MappingProxyType({}),
    threads: int | None = None,
    progress: Progress | None = None,
) -> MultipleChoice:
    """Ask a model which ending of each text is the likeliest.

    Contexts and endings are joined by a space and tokenized as one text, as in lm-eval.

    Args:
        model: a model file, or a model that is open.
        questions: a file of JSON lines in HellaSwag's shape, or questions.
        most: ask so many at most, from the first on.
        settings: of :class:`ggmlkit.Model`, for a model that is opened here.
        threads: the most to use; the default is all that the process may use.
        progress: called with (questions asked, questions, the share of right answers so far).

    Raises:
        FormatError: a file is damaged, or a line is no question.
        ArgumentError: there are no questions.
        ModelError: the model can't be run, or an ending does not fit its context.
        OSError: a file can't be opened.
    """
    check_progress(progress)
    thread_count(threads)
    if most is not None:
        most = whole(most, "most", least=1)
    if isinstance(questions, (str, os.PathLike)):
        asked = read_questions(questions, most)
    else:
        asked = list(questions)[:most]
    if not asked:
        raise ArgumentError("there are no questions")
    with ExitStack() as opened:
        if isinstance(model, Model):
            own = model
        else:
            given = {"threads": threads, **mapping(settings, "settings")}
            # The second context is for endings, which go on from the first.
            own = opened.enter_context(Model(model, **{"contexts": 2, **given}))
        answers: list[_Answer] = []
        for answer in _answers(own, asked):
            answers.append(answer)
            if progress is not None:
                right = sum(each.is_right_by_length for each in answers) / len(answers)
                progress(len(answers), len(asked), f"{100 * right:.2f} % right")
    return _figures(answers)


@dataclass(frozen=True)
class _Answer:
    is_right: bool
    is_right_by_length: bool
    chosen: int
    right: Continuation


def _answers(model: Model, questions: list[Question]) -> Iterator[_Answer]:
    for question in questions:
        pairs = [
            pair_of(model.tokenizer, question.context, f" {ending}") for ending in question.endings
        ]
        found = list(continuations(model, pairs))
        right = found[question.label]
        if len(found) == 1:
            chosen = 0 if right.is_greedy else -1
            yield _Answer(right.is_greedy, right.is_greedy, chosen, right)
            continue
        sums = [each.logprob for each in found]
        lengths = [len(ending) for ending in question.endings]
        chosen = int(np.argmax(np.array(sums) / lengths))
        yield _Answer(
            int(np.argmax(sums)) == question.label, chosen == question.label, chosen, right
        )


def _figures(answers: list[_Answer]) -> MultipleChoice:
    nll = np.array([-answer.right.logprob for answer in answers])
    tokens = np.array([answer.right.tokens for answer in answers])
    # Questions are independent, their tokens are not.
    spread = mean_of(nll / tokens.mean())
    return MultipleChoice(
        questions=len(answers),
        acc=mean_of(np.array([answer.is_right for answer in answers])),
        acc_norm=mean_of(np.array([answer.is_right_by_length for answer in answers])),
        perplexity=exponential_of(Estimate(float(nll.sum() / tokens.sum()), spread.error)),
        chosen=tuple(answer.chosen for answer in answers),
    )
