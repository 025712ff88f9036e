"""The command tree, and how errors become exit codes."""

from __future__ import annotations

import sys
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from ggmlkit.cli import bench, chat, convert, export, inspect, quantize, run, tokenize
from ggmlkit.errors import GgmlkitError

_INPUT_AT_FAULT = 1


class _Commands(TyperGroup):
    """Says what is wrong with the input in one sentence, without a traceback."""

    def invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        except BrokenPipeError:
            raise  # whoever read our output has enough: typer ends quietly
        except (GgmlkitError, OSError) as error:
            print(f"ggmlkit: {_sentence(error)}", file=sys.stderr)
            raise typer.Exit(_INPUT_AT_FAULT) from None


def _sentence(error: Exception) -> str:
    if isinstance(error, OSError) and error.strerror and error.filename:
        return f"{error.filename}: {error.strerror}"
    return " ".join(str(error).split())


def _print_version(asked: bool) -> None:
    if asked:
        import ggmlkit

        print(f"ggmlkit {ggmlkit.__version__}")
        raise typer.Exit


app = typer.Typer(
    cls=_Commands,
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


@app.callback()
def _root(
    version: Annotated[
        bool,
        typer.Option(
            "--version", callback=_print_version, is_eager=True, help="Print the version."
        ),
    ] = False,
) -> None:
    """Convert, quantize and run LLaMA-family models in the GGML file formats."""


app.command()(run.run)
app.command()(chat.chat)
app.command()(convert.convert)
app.command()(quantize.quantize)
app.command()(inspect.inspect)
app.command()(export.export)
app.command()(bench.bench)
app.command()(tokenize.tokenize)
