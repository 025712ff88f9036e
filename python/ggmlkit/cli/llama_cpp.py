"""Options of llama.cpp's programs that have no counterpart here.

Those that cannot change what is printed are accepted with a note; all others are refused by name.
Without these tables ``-fa`` would only be "no option".
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from typing import Any

from ggmlkit.cli.usage import UsageError

_ON_OR_OFF = ("on", "off", "auto", "0", "1", "true", "false", "enabled", "disabled")

# Names, separated by spaces; VALUE follows those that take one, [VALUE] those that may.
_ON_CPU = "has no effect: ggmlkit computes on the CPU, not on a GPU"
_OWN_BATCHES = "has no effect: ggmlkit chooses its batches and its attention kernel itself"
_OWN_THREADS = "has no effect: -t sets the threads for prompts and for decoding"
_QUIET = "has no effect: ggmlkit prints the text on stdout and the speed on stderr"
_MAPPED = "has no effect: ggmlkit always maps model files"

_PERFORMANCE = {
    "-ngl --gpu-layers --n-gpu-layers VALUE": _ON_CPU,
    "-mg --main-gpu VALUE": _ON_CPU,
    "-ts --tensor-split VALUE": _ON_CPU,
    "-sm --split-mode VALUE": _ON_CPU,
    "-dev --device VALUE": _ON_CPU,
    "-ot --override-tensor VALUE": _ON_CPU,
    "-kvo --kv-offload": _ON_CPU,
    "-nkvo --no-kv-offload [VALUE]": _ON_CPU,
    "--op-offload": _ON_CPU,
    "-nopo --no-op-offload [VALUE]": _ON_CPU,
    "-fit --fit VALUE": _ON_CPU,
    "-cmoe --cpu-moe": _ON_CPU,
    "-ncmoe --n-cpu-moe VALUE": _ON_CPU,
    "-fa --flash-attn [VALUE]": _OWN_BATCHES,
    "-b --batch-size VALUE": _OWN_BATCHES,
    "-ub --ubatch-size VALUE": _OWN_BATCHES,
    "-dt --defrag-thold VALUE": _OWN_BATCHES,
    "--swa-full": _OWN_BATCHES,
    "-tb --threads-batch VALUE": _OWN_THREADS,
    "-C --cpu-mask VALUE": _OWN_THREADS,
    "-Cr --cpu-range VALUE": _OWN_THREADS,
    "--cpu-strict VALUE": _OWN_THREADS,
    "--numa VALUE": _OWN_THREADS,
    "--poll VALUE": _OWN_THREADS,
    "--prio VALUE": _OWN_THREADS,
    "-Cb --cpu-mask-batch VALUE": _OWN_THREADS,
    "-Crb --cpu-range-batch VALUE": _OWN_THREADS,
    "--cpu-strict-batch VALUE": _OWN_THREADS,
    "--poll-batch VALUE": _OWN_THREADS,
    "--prio-batch VALUE": _OWN_THREADS,
    "-mmp --mmap [VALUE]": _MAPPED,
    "--no-mmap": _MAPPED,
    "-v --verbose --log-verbose": _QUIET,
}
_LOGS = {
    "-lv --verbosity --log-verbosity VALUE": _QUIET,
    "-co --color [VALUE]": "has no effect: ggmlkit prints text without colours",
    "--log-disable": _QUIET,
    "--log-prefix": _QUIET,
    "--log-timestamps": _QUIET,
    "--log-colors [VALUE]": _QUIET,
    "--show-timings": _QUIET,
    "--no-show-timings": _QUIET,
    "--verbose-prompt": "has no effect: 'ggmlkit tokenize' prints the tokens of a text",
    "--check-tensors": "has no effect: 'ggmlkit verify' checks a file",
    "--no-perf": _QUIET,
    "--perf": _QUIET,
    "--warmup": "has no effect: ggmlkit does not warm up",
    "--no-warmup": "has no effect: ggmlkit does not warm up",
}

_PACED = "has no effect: how many tokens are guessed follows from what that saves"
_DRAFTS = {
    "--draft --draft-n --draft-max VALUE": _PACED,
    "--draft-min --draft-n-min VALUE": _PACED,
}
_NAMED_FILE = "is not an option here: name the model as -m hf:OWNER/NAME:FILE"
_TEXT_ALONE = "is refused: ggmlkit runs text models alone"
_MODELS = {
    "-hf -hfr --hf-repo VALUE": _NAMED_FILE,
    "-hff --hf-file VALUE": _NAMED_FILE,
    "-hft --hf-token VALUE": "is not an option here: set HF_TOKEN in the environment",
    "-mu --model-url VALUE": "is not an option here: download the file and name it with -m",
    "--spec-type VALUE": "is not an option here: -md and --no-lookup say how tokens are guessed",
    "-mm --mmproj VALUE": _TEXT_ALONE,
    "--image --audio --video VALUE": _TEXT_ALONE,
    "--rpc VALUE": "is refused: ggmlkit computes on this machine alone",
    "--offline": "is not an option here: set HF_HUB_OFFLINE=1 in the environment",
    "--control-vector VALUE": "is refused: ggmlkit has no control vectors",
    "--lora-scaled VALUE": "is not an option here: write --lora ADAPTER:SCALE",
    "--override-kv VALUE": "is not an option here: change the file with 'ggmlkit metadata set'",
}
_NO_SAMPLER = "is refused: ggmlkit has no such sampler"
_THOUGHTS = (
    "is not an option here: --show-thinking prints what a model thinks, and many templates take "
    "--chat-template-kwargs '{\"enable_thinking\": false}'"
)
_POSITIONS = "is refused: the positions are encoded as the file's metadata says"
_SHIFTED = "is refused: where the context is full, 'ggmlkit chat' drops the oldest turns"
_OUTPUT = {
    "-sp --special": "is refused: control tokens are never printed",
    "-rea --reasoning VALUE": _THOUGHTS,
    "--reasoning-format VALUE": _THOUGHTS,
    "--reasoning-budget VALUE": _THOUGHTS,
    "--log-file VALUE": "is not an option here: redirect stderr to a file",
    "--sampling-seq --sampler-seq VALUE": "is not an option here: --samplers takes their names",
    "--tfs VALUE": _NO_SAMPLER,
    "--adaptive-target VALUE": _NO_SAMPLER,
    "--adaptive-decay VALUE": _NO_SAMPLER,
    "--rope-scaling VALUE": _POSITIONS,
    "--rope-scale VALUE": _POSITIONS,
    "--rope-freq-base VALUE": _POSITIONS,
    "--rope-freq-scale VALUE": _POSITIONS,
    "--yarn-orig-ctx VALUE": _POSITIONS,
    "--yarn-ext-factor VALUE": _POSITIONS,
    "--yarn-attn-factor VALUE": _POSITIONS,
    "--yarn-beta-slow VALUE": _POSITIONS,
    "--yarn-beta-fast VALUE": _POSITIONS,
    "-gan --grp-attn-n VALUE": _POSITIONS,
    "-gaw --grp-attn-w VALUE": _POSITIONS,
}
_CONVERSATION = "is refused: 'ggmlkit run' continues a text; converse with 'ggmlkit chat'"
_NO_PROMPT_CACHE = (
    "is refused: a prompt is computed each time; in Python, gk.Sequence.save keeps one"
)
_WRAPPED = "is refused: only the chat template stands between messages; use 'ggmlkit chat'"
_NO_TLS = "is refused: put a proxy with TLS before the server"
# What llama-server must be asked for, and is always there.
_ALWAYS_SERVED = ("--jinja", "--metrics", "-cb --cont-batching", "--cache-prompt", "--warmup")
_LINES = "has no effect: a line that ends with a backslash goes on in the next"


def add_run_options(parser: argparse.ArgumentParser) -> None:
    """Options of llama-cli and llama-completion that continue a text."""
    _accept(parser, _PERFORMANCE | _LOGS)
    _accept(parser, _DRAFTS | {"--no-context-shift": "", "--jinja": ""})
    _refuse(parser, _MODELS | _OUTPUT)
    _refuse(
        parser,
        {
            "-sysf --system-prompt-file VALUE": _CONVERSATION,
            "--prompt-cache VALUE": _NO_PROMPT_CACHE,
            "--prompt-cache-all": _NO_PROMPT_CACHE,
            "--prompt-cache-ro": _NO_PROMPT_CACHE,
            "--in-prefix VALUE": _WRAPPED,
            "--in-suffix VALUE": _WRAPPED,
            "--in-prefix-bos": _WRAPPED,
            "-bf --binary-file VALUE": "is refused: a prompt must be UTF-8 text; give it with -f",
        },
    )


def add_chat_options(parser: argparse.ArgumentParser) -> None:
    """Options of llama-cli that converse."""
    _accept(parser, _PERFORMANCE | _LOGS | _DRAFTS)
    _accept(parser, dict.fromkeys(("-cnv --conversation", "-i --interactive"), ""))
    _accept(parser, dict.fromkeys(("-if --interactive-first", "--jinja", "--context-shift"), ""))
    _accept(parser, {"-mli --multiline-input": _LINES})
    _accept(parser, {"-np --parallel VALUE": "has no effect: a chat answers one prompt at a time"})
    _refuse(parser, _MODELS | _OUTPUT)
    _refuse(parser, dict.fromkeys(("--keep VALUE", "--no-context-shift"), _SHIFTED))
    _refuse(
        parser,
        {
            "-no-cnv --no-conversation": "is refused: continue a text with 'ggmlkit run'",
            "-sysf --system-prompt-file VALUE": "is refused: give the text itself with --system",
            "--no-jinja": "is refused: chat templates are jinja2",
        },
    )


def add_serve_options(parser: argparse.ArgumentParser) -> None:
    """Options of llama-server."""
    _accept(parser, _PERFORMANCE)
    _accept(parser, dict.fromkeys(_ALWAYS_SERVED, ""))
    _accept(parser, {"-nocb --no-cont-batching": "has no effect: answers always share their steps"})
    _refuse(
        parser,
        {
            "-hf -hfr --hf-repo VALUE": _NAMED_FILE,
            "-hff --hf-file VALUE": _NAMED_FILE,
            "-mu --model-url VALUE": _MODELS["-mu --model-url VALUE"],
            "-mm --mmproj VALUE": _TEXT_ALONE,
            "-a --alias VALUE": "is not an option here: write -m NAME=FILE",
            "--lora-scaled VALUE": _MODELS["--lora-scaled VALUE"],
            "--ssl-key-file VALUE": _NO_TLS,
            "--ssl-cert-file VALUE": _NO_TLS,
            "--no-jinja": "is refused: chat templates are jinja2",
        },
    )


def add_bench_options(parser: argparse.ArgumentParser) -> None:
    """Options of llama-bench."""
    _accept(parser, _PERFORMANCE)
    _refuse(
        parser,
        {
            "-hf -hfr --hf-repo VALUE": _NAMED_FILE,
            "-hff --hf-file VALUE": _NAMED_FILE,
            "-pg VALUE": "is refused: measure decoding behind a prompt with -d TOKENS -n TOKENS",
            "-o --output VALUE": "is not an option here: --json prints JSON",
        },
    )


def add_quantize_options(parser: argparse.ArgumentParser) -> None:
    """Options of llama-quantize."""
    _accept(parser, {"--allow-requantize": ""})
    one_type = "is not an option here: write --tensor-type"
    _refuse(
        parser,
        {
            "--leave-output-tensor": rf"{one_type} '^output\.weight$=TYPE'",
            "--output-tensor-type VALUE": rf"{one_type} '^output\.weight$=TYPE'",
            "--token-embedding-type VALUE": rf"{one_type} '^token_embd\.weight$=TYPE'",
            "--keep-split": "is refused: cut the result with 'ggmlkit split'",
            "--override-kv VALUE": _MODELS["--override-kv VALUE"],
        },
    )


def add_imatrix_options(parser: argparse.ArgumentParser) -> None:
    """Options of llama-imatrix."""
    _accept(parser, _PERFORMANCE | _LOGS)
    _accept(parser, {"--no-ppl": "", "-np --parallel VALUE": _OWN_BATCHES})
    _refuse(
        parser,
        {
            **_MODELS,
            "-p --prompt VALUE": "is not an option here: give the text as a file with -f",
            "--ppl": "is refused: the importance matrix is made without perplexities",
            "--lora VALUE": "is not an option here: 'ggmlkit apply-lora' makes a file to measure",
        },
    )


def add_perplexity_options(parser: argparse.ArgumentParser) -> None:
    """Options of llama-perplexity."""
    _accept(parser, _PERFORMANCE | _LOGS)
    choices = "is refused: use 'ggmlkit multiple-choice' with a file of JSON lines"
    _refuse(
        parser,
        {
            "--kl-divergence": "is not an option here: --base FILE compares",
            "--kl-divergence-base VALUE": "is not an option here: read the file with --base, "
            "write it with --save-all-logits",
            "--ppl-stride VALUE": "is refused: chunks do not overlap",
            "--ppl-output-type VALUE": "is refused: --json prints the figures of each position",
            "--hellaswag": choices,
            "--hellaswag-tasks VALUE": choices,
            "--winogrande": choices,
            "--multiple-choice": choices,
        },
    )


def add_multiple_choice_options(parser: argparse.ArgumentParser) -> None:
    """Options of llama-perplexity that choose."""
    _accept(parser, _PERFORMANCE | _LOGS)
    lines = "is not an option here: -f FILE has JSON lines"
    _refuse(
        parser,
        {
            "--hellaswag": lines,
            "--hellaswag-tasks VALUE": "is not an option here: write --tasks N",
            "--winogrande": lines,
            "--multiple-choice": lines,
        },
    )


def add_report_options(parser: argparse.ArgumentParser) -> None:
    """Options of llama.cpp's programs that compute."""
    _accept(parser, _PERFORMANCE | _LOGS)


def add_tokenize_options(parser: argparse.ArgumentParser) -> None:
    """Options of llama-tokenize."""
    _accept(parser, {"--no-parse-special": "", "--log-disable": ""})
    as_argument = "is not an option here: give the text as the last argument"
    _refuse(
        parser,
        {
            "-p --prompt VALUE": as_argument,
            "-f --file VALUE": as_argument,
            "--stdin": as_argument,
            "--ids": "is not an option here: --json prints the ids alone",
            "--no-bos": "is not an option here: write --no-special",
        },
    )


class Accepted(argparse.Action):
    """An option without effect; ``said`` is the note about it, empty where none is due."""

    def __init__(self, said: str, **settings: Any) -> None:
        super().__init__(**settings)
        self.said = said

    def __call__(
        self,
        parser: argparse.ArgumentParser,  # noqa: ARG002
        namespace: argparse.Namespace,
        values: str | Sequence[Any] | None,  # noqa: ARG002
        option_string: str | None = None,
    ) -> None:
        if self.said:
            namespace.notes.append(f"{option_string} {self.said}")


class Refused(Accepted):
    """An option that is refused; ``said`` says why."""

    def __call__(
        self,
        parser: argparse.ArgumentParser,  # noqa: ARG002
        namespace: argparse.Namespace,  # noqa: ARG002
        values: str | Sequence[Any] | None,  # noqa: ARG002
        option_string: str | None = None,
    ) -> None:
        raise UsageError(f"{option_string} {self.said}")


def _accept(parser: argparse.ArgumentParser, options: dict[str, str]) -> None:
    _add(parser, Accepted, options)


def _refuse(parser: argparse.ArgumentParser, options: dict[str, str]) -> None:
    _add(parser, Refused, options)


def _add(
    parser: argparse.ArgumentParser, action: type[argparse.Action], options: dict[str, str]
) -> None:
    for form, said in options.items():
        names = form.split()
        settings: dict[str, Any] = {"nargs": 0}
        if names[-1] == "VALUE":
            settings = {"nargs": None}
        elif names[-1] == "[VALUE]":
            settings = {"nargs": "?", "choices": _ON_OR_OFF}
        names = [name for name in names if name.startswith("-")]
        parser.add_argument(
            *names,
            action=action,
            said=said,
            dest=argparse.SUPPRESS,
            default=argparse.SUPPRESS,
            help=argparse.SUPPRESS,
            **settings,
        )
