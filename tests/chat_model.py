"""A tiny model with a chat template, and `ggmlkit chat` as a program with it."""

from __future__ import annotations

from pathlib import Path

from ggmlkit import io
from paths import GOLDEN

TEMPLATE = (
    "{% for message in messages %}{{ message.role ~ ': ' ~ message.content ~ '\\n' }}{% endfor %}"
    "{% if add_generation_prompt %}assistant: {% endif %}"
)
# Answers with what it was asked, letter by letter, and writes each prompt to a file.
_ECHO = """\
import sys, time
from ggmlkit.engine.generation import Stats
from ggmlkit.engine.llama import Llama
def generate(self, prompt, *, max_tokens, **settings):
    self.stats = Stats()
    text = self.detokenize(prompt)
    with open({log!r}, "a") as log:
        print(repr(text), file=log)
    question = text.rpartition("user: ")[2].partition("\\nassistant:")[0]
    for letter in "You said " + question + ".":
        self.stats.decode_tokens += 1
        time.sleep({pause})
        yield letter
Llama.generate = generate
from ggmlkit.cli import main
sys.argv = {words!r}
main()
"""


def chat_model(folder: Path) -> Path:
    """The golden model with a template, in a folder."""
    path = folder / "chat.gguf"
    with io.open(GOLDEN / "gguf-v1-f16.bin") as file:
        io.save(path, file.tensors, {**file.metadata, "tokenizer.chat_template": TEMPLATE})
    return path


def echo_program(model: Path, log: Path, *options: str, pause: float = 0) -> str:
    """The code of a chat whose model repeats what the user says.

    Args:
        log: the file that gets each prompt, one a line.
        options: more words of the command line.
        pause: seconds before each letter.
    """
    words = ["ggmlkit", "chat", "-m", str(model), "-t", "1", *options]
    return _ECHO.format(log=str(log), pause=pause, words=words)
