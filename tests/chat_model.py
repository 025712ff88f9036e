"""A tiny model with a chat template, and `ggmlkit chat` as a program with it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from ggmlkit import io
from ggmlkit.engine.completion import Token
from ggmlkit.engine.llama import Llama
from ggmlkit.engine.stats import Stats
from paths import GOLDEN

TEMPLATE = (
    "{% for message in messages %}{{ message.role ~ ': ' ~ message.content ~ '\\n' }}{% endfor %}"
    "{% if add_generation_prompt %}assistant: {% endif %}"
)
# Answers with what it was asked, byte by byte, and writes each prompt to a file.
_ECHO = """\
import sys, time
sys.path.insert(0, {tests!r})
from chat_model import dictated
from ggmlkit.engine.llama import Llama
def generate(self, prompt, *, max_tokens, **settings):
    text = self.detokenize(prompt)
    with open({log!r}, "a") as log:
        print(repr(text), file=log)
    question = text.rpartition("user: ")[2].partition("\\nassistant:")[0]
    for token in dictated(self, {thought!r} + "You said " + question + ".", max_tokens):
        time.sleep({pause})
        yield token
Llama.generate_tokens = generate
from ggmlkit.cli import main
sys.argv = {words!r}
main()
"""


def dictated(llama: Llama, text: str | bytes, most: int | None = None) -> Iterator[Token]:
    """The tokens by which a model says a text: one for each byte, at most so many, then its end."""
    llama.stats = Stats()
    for byte in text.encode() if isinstance(text, str) else text:
        llama.stats.decode_tokens += 1
        token = llama.tokenizer.token_id(f"<0x{byte:02X}>")
        assert token is not None
        is_last = llama.stats.decode_tokens == most
        yield Token(token, "", finish_reason="length" if is_last else None)
        if is_last:
            return
    llama.stats.decode_tokens += 1
    yield Token(llama.tokenizer.eos_id or 0, "", finish_reason="stop")


def chat_model(folder: Path) -> Path:
    """The golden model with a template, in a folder."""
    path = folder / "chat.gguf"
    with io.open(GOLDEN / "gguf-v1-f16.bin") as file:
        io.save(path, file.tensors, {**file.metadata, "tokenizer.chat_template": TEMPLATE})
    return path


def echo_program(model: Path, log: Path, *options: str, pause: float = 0, thought: str = "") -> str:
    """The code of a chat whose model repeats what the user says.

    Args:
        log: the file that gets each prompt, one a line.
        options: more words of the command line.
        pause: seconds before each letter.
        thought: comes before the answer.
    """
    words = ["ggmlkit", "chat", "-m", str(model), "-t", "1", *options]
    tests = str(Path(__file__).parent)
    return _ECHO.format(tests=tests, log=str(log), pause=pause, thought=thought, words=words)
