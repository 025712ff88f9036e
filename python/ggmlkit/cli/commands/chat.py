"""`ggmlkit chat`: talk with an instruction-tuned model."""

from __future__ import annotations

import argparse

from ggmlkit.cli import llama_cpp, options, sampling_options

EXAMPLES = """\
  ggmlkit chat -m model.gguf --system "Answer in one sentence."
  echo "What is a tensor?" | ggmlkit chat -m model.gguf --temp 0
  ggmlkit chat -m model.gguf -p "What is a tensor?" -st

-ngl, -fa and other options of llama.cpp that only set its speed are accepted
with a note. In the conversation, /help lists commands."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    options.add_model(parser)
    text = parser.add_argument_group("text")
    options.add_conversation(text)
    options.add_show_thinking(text)
    text.add_argument("-p", "--prompt", metavar="TEXT", help="The first message.")
    options.add_file(
        text, "UTF-8 file with the first message; - is all of standard input, to its end."
    )
    options.add_escape(text, "the system prompt, -p, -f and -r")
    options.add_max_tokens(
        text, "Most tokens of an answer; -1: until the model ends it or it fills the context."
    )
    options.add_stop(text)
    options.add_simple_io(text, "Read plain lines, without editing them.")
    sampling_options.add_sampling(parser.add_argument_group("sampling"))
    model = parser.add_argument_group("model")
    options.add_context(model)
    options.add_lora(model)
    options.add_decoder(model)
    options.add_mlock(model)
    options.add_threads(model)
    options.add_speculation(model)
    llama_cpp.add_chat_options(parser)


def run(args: argparse.Namespace) -> int:
    """Answer messages until the user ends the conversation."""
    from ggmlkit.cli.chat import session
    from ggmlkit.cli.chat.conversation import Conversation
    from ggmlkit.cli.chat.templates import given_template, given_variables
    from ggmlkit.cli.decoder import open_generator
    from ggmlkit.cli.metadata_text import print_notes
    from ggmlkit.cli.prompt_text import given_text, unescaped
    from ggmlkit.cli.stream import print_summary
    from ggmlkit.text.template.process import RENDERERS

    first = given_text(args)
    system = args.system
    if system is not None and args.escape:
        system = unescaped(system)
    template, variables = given_template(args), given_variables(args)
    RENDERERS.prepare()  # while the model is loaded
    llama = open_generator(args)
    settings = sampling_options.generation_settings(args)
    source = None if template is None else template.source
    if template is not None:
        settings["stop"] = [*settings["stop"], *template.stop]
    sampling_options.check_grammar(llama, settings)
    conversation = Conversation(
        llama,
        settings,
        system,
        lambda said: print_notes([said]),
        source,
        variables,
        shows_thoughts=args.show_thinking,
    )
    lines = session.reader(args.simple_io)
    if session.is_interactive():
        session.say(f"{args.model}, {llama.context} tokens of context; /help, or Ctrl-D to end")
    session.Session(conversation, lines).run(first or None, args.single_turn)
    print_summary(llama)
    return 0
