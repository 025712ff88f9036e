"""lm-eval's command with the model ``ggmlkit`` registered, as it looks for no plug-ins itself::

    python -m ggmlkit.evaluation.lm_eval run --model ggmlkit --model_args model=FILE --tasks TASK

Programs that call ``lm_eval.simple_evaluate(model="ggmlkit", …)`` import this before.
"""

from __future__ import annotations

from ggmlkit.evaluation.lm_eval_model import GgmlkitLM

__all__ = ["GgmlkitLM", "main"]


def main() -> None:
    """lm-eval's own command."""
    from lm_eval.__main__ import cli_evaluate

    cli_evaluate()


if __name__ == "__main__":
    main()
