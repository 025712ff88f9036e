"""`ggmlkit serve`: answer requests over HTTP."""

from __future__ import annotations

import argparse
import sys
from typing import TYPE_CHECKING

from ggmlkit.cli import llama_cpp, options, values
from ggmlkit.cli.usage import UsageError

if TYPE_CHECKING:
    from ggmlkit.server.settings import EngineSettings, Limits, ModelSource, ServerSettings

EXAMPLES = """\
  ggmlkit serve -m model.gguf
  ggmlkit serve -m small=a.gguf -m large=b.gguf --port 8000 --parallel 16
  ggmlkit serve -m model.gguf --host 0.0.0.0 --api-key-file keys.txt"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument(
        "-m",
        "--model",
        dest="models",
        required=True,
        action="append",
        type=values.not_empty,
        metavar="[NAME=]FILE",
        help="Model file, or hf:OWNER/NAME:FILE, and what requests call it. Default of NAME: the "
        "file's name without suffix. Required; may be repeated: the first is loaded at once, the "
        "others when they are asked for.",
    )
    _add_network(parser.add_argument_group("network"))
    _add_limits(parser.add_argument_group("limits"))
    _add_store(parser.add_argument_group("responses"))
    _add_text(parser.add_argument_group("text"))
    _add_traces(parser.add_argument_group("telemetry"))
    model = parser.add_argument_group("model")
    options.add_lora(model)
    options.add_decoder(model)
    options.add_speculation(model)
    options.add_mlock(model)
    options.add_threads(model)
    llama_cpp.add_serve_options(parser)


def _add_network(to: options.Arguments) -> None:
    to.add_argument("--host", default="127.0.0.1", metavar="ADDRESS", help="Address to listen on.")
    to.add_argument(
        "--port",
        type=values.whole_number(0, 65535),
        default=8080,
        metavar="N",
        help="Port to listen on; 0: any that is free.",
    )
    to.add_argument(
        "--api-key",
        dest="api_keys",
        action="append",
        default=[],
        type=values.not_empty,
        metavar="KEY",
        help="Serve only requests with this key. May be repeated. Other users of the machine see "
        "it in the list of processes: prefer a file.",
    )
    to.add_argument(
        "--api-key-file",
        type=values.path,
        metavar="FILE",
        help="The same, one key a line.",
    )
    to.add_argument(
        "--allowed-host",
        dest="allowed_hosts",
        action="append",
        default=[],
        type=values.not_empty,
        metavar="NAME",
        help="Serve requests that call the server by this name, too; *: by any. May be repeated. "
        "Default: localhost, addresses of the machine itself and --host, where the server listens "
        "on 127.0.0.1 and wants no key; else any.",
    )
    to.add_argument(
        "--cors-origin",
        dest="cors_origins",
        action="append",
        default=[],
        type=values.origin,
        metavar="ORIGIN",
        help="Let web pages of this origin use the server, such as https://example.org; *: all. "
        "May be repeated.",
    )
    to.add_argument(
        "--no-page",
        dest="page",
        action="store_false",
        help="Leave out the page for chats at /.",
    )


def _add_limits(to: options.Arguments) -> None:
    options.add_parallel(
        to, "Answers that are generated at a time for a model; the others wait.", default=8
    )
    to.add_argument(
        "-c",
        "--ctx-size",
        type=values.whole_number(1),
        metavar="N",
        help="Most tokens of a request, prompt and answer together. Default: what the model was "
        "trained for, at most 4096.",
    )
    to.add_argument(
        "--kv-size",
        type=values.tokens_or_size,
        metavar="N",
        help="What all requests share: tokens, or bytes such as 2G. Default: --parallel times "
        "--ctx-size, as far as a quarter of the free memory goes.",
    )
    options.add_max_tokens(to, "Most tokens of an answer; -1: as many as -c has room for.")
    options.add_context_shift(to, "; requests say with n_keep how much of their prompt stays")
    to.add_argument(
        "-to",
        "--timeout",
        type=values.number(0.001),
        default=600,
        metavar="SECONDS",
        help="Most seconds of an answer, with the time that it waits.",
    )
    to.add_argument(
        "--max-waiting",
        type=values.whole_number(0),
        default=64,
        metavar="N",
        help="Answers that may wait for their turn; more requests are refused with status 429.",
    )
    to.add_argument(
        "--max-body",
        type=values.size,
        default="8M",
        metavar="SIZE",
        help="Most bytes of a request.",
    )
    to.add_argument(
        "--drain",
        type=values.number(0),
        default=30,
        metavar="SECONDS",
        help="Time for running answers after SIGTERM or Ctrl-C.",
    )
    to.add_argument(
        "--idle",
        type=values.number(1),
        metavar="SECONDS",
        help="Unload a model that nobody used for so long. Default: never.",
    )


def _add_traces(to: options.Arguments) -> None:
    to.add_argument(
        "--traces",
        action="store_true",
        help="Send a span of OpenTelemetry for each request, to where OTEL_EXPORTER_OTLP_ENDPOINT "
        "says. Needs the extra telemetry.",
    )


def _add_store(to: options.Arguments) -> None:
    to.add_argument(
        "--store",
        type=values.path,
        metavar="FILE",
        help="Keep the responses of /v1/responses in this file of SQLite, which is made if it is "
        "not there. Default: in memory, until the server ends.",
    )
    to.add_argument(
        "--store-size",
        type=values.size,
        default="256M",
        metavar="SIZE",
        help="Most bytes of the responses that are kept; where there are more, the oldest go "
        "first.",
    )


def _add_text(to: options.Arguments) -> None:
    options.add_chat_template(to)
    options.add_choice(
        to,
        "--pooling",
        choices=("mean", "last"),
        default="mean",
        help="Which tokens make an embedding.",
    )
    to.add_argument(
        "--embeddings",
        "--embedding",
        action="store_true",
        help="Accepted: /v1/embeddings is always there.",
    )


def run(args: argparse.Namespace) -> int:
    """Serve until a signal ends it."""
    settings = settings_of(args)
    try:
        from ggmlkit.server import process
    except ImportError as error:
        missing = (error.name or "").partition(".")[0]
        if missing not in ("starlette", "uvicorn", "pydantic", "prometheus_client", "anyio"):
            raise
        raise ImportError(
            f"serving needs the extra server, the package {missing}: in a clone of ggmlkit, "
            'pip install ".[server]"'
        ) from None
    if warning := process.warning_of(settings):
        print(f"ggmlkit: warning: {warning}", file=sys.stderr)
    with process.logs_on_stderr():
        return process.serve(settings, _say)


def _say(line: str) -> None:
    print(line, flush=True)


def settings_of(args: argparse.Namespace) -> ServerSettings:
    """What the options say.

    Raises:
        UsageError: two models have one name, or options exclude each other.
        OSError: a file can't be read.
    """
    from ggmlkit.cli.chat.templates import given_template, given_variables
    from ggmlkit.server.settings import ServerSettings, StoreSettings

    template = given_template(args)
    return ServerSettings(
        models=_models(args.models),
        host=args.host,
        port=args.port,
        keys=_keys(args),
        allowed_hosts=tuple(args.allowed_hosts),
        context_shift=args.context_shift,
        cors_origins=tuple(args.cors_origins),
        chat_template=None if template is None else template.source,
        template_stops=() if template is None else template.stop,
        template_variables=given_variables(args),
        traces=args.traces,
        pooling=args.pooling,
        page=args.page,
        engine=_engine(args),
        limits=_limits(args),
        store=StoreSettings(None if args.store is None else str(args.store), size=args.store_size),
    )


def _engine(args: argparse.Namespace) -> EngineSettings:
    from ggmlkit.server.settings import EngineSettings

    tokens, size = args.kv_size or (None, None)
    return EngineSettings(
        context=args.ctx_size,
        cache_tokens=tokens,
        cache_bytes=size,
        parallel=args.parallel,
        threads=args.threads,
        kv_type=options.kv_type(args),
        activation_bits=int(args.activation_bits),
        repack=args.repack,
        mlock=args.mlock,
        draft=args.draft,
        lookup=args.lookup,
        lora=tuple((str(path), scale) for path, scale in args.lora),
    )


def _limits(args: argparse.Namespace) -> Limits:
    from ggmlkit.server.settings import Limits

    return Limits(
        max_tokens=None if args.max_tokens < 0 else args.max_tokens,
        seconds=args.timeout,
        waiting=args.max_waiting,
        body_bytes=args.max_body,
        drain_seconds=args.drain,
        idle_seconds=args.idle,
    )


def _models(words: list[str]) -> tuple[ModelSource, ...]:
    """The models; several names of one file are one model."""
    from ggmlkit.server.settings import ModelSource

    names: dict[str, list[str]] = {}
    for word in words:
        name, path = values.named_model(word)
        if any(name in others for others in names.values()):
            raise UsageError(f"two models are called {name!r}; name them, as in -m NAME=FILE")
        names.setdefault(path, []).append(name)
    return tuple(
        ModelSource(first, path, tuple(others)) for path, (first, *others) in names.items()
    )


def _keys(args: argparse.Namespace) -> tuple[str, ...]:
    """The API keys, of options and of the file."""
    from ggmlkit.cli.prompt_text import text_of

    found = list(args.api_keys)
    if args.api_key_file is not None:
        lines = [line.strip() for line in text_of(args.api_key_file).splitlines()]
        in_file = [line for line in lines if line and not line.startswith("#")]
        if not in_file:
            raise UsageError(f"--api-key-file {args.api_key_file} has no key")
        found += in_file
    return tuple(found)
