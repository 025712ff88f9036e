"""Reads a grammar with llguidance; as a program, to see whether that ends in time.

A grammar may come from anyone, and a few hundred characters can keep llguidance busy for hours, in
a thread that nothing can end. So each is read once in a process of its own, which can be ended.
This file imports nothing of ggmlkit: the process must start fast.
"""

from __future__ import annotations

import json
import re
import sys
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from llguidance import LLParserLimits

# Far more than a program's own grammars need.
_LIMITS = {"initial_lexer_fuel": 200_000, "max_lexer_states": 50_000, "verbose_errors": False}
# llguidance follows references by recursion: as deep as the longest grammar that is let in, with
# room to spare. Pages that are not touched take no memory.
_STACK_BYTES = 256 << 20
_STACK_SIZE = threading.Lock()
_MEMORY_BYTES = 2 << 30
# Without \u: with it, a name in "properties" has a second spelling, whose value is then free.
JSON_ESCAPES = 'nrbtf\\"'
_JSON = {
    # A small model can repeat white space for ever.
    "whitespace_pattern": r"[\x20\x0A\x0D\x09]{1,20}",
    "json_allowed_escapes": JSON_ESCAPES,
}
_OTHERS_WORDS = (
    (re.compile(r"\s*while processing (\S+)$"), r" (in \1)"),
    (
        re.compile(r"^oneOf constraints are not supported\..*? with anyOf"),
        "oneOf is not supported where two of its schemas may fit one value; anyOf is",
    ),
    (re.compile(r"^Unimplemented keys: \[(.*?)\]"), r"not supported: \1"),
    (
        re.compile(r"^Resource '(.*)' is not present in a registry.*"),
        r"'\1' is outside the schema, and is not fetched",
    ),
)
_GBNF_RULE = re.compile(r"^[ \t]*[\w-]+\s*::=", re.MULTILINE)


def limits() -> LLParserLimits:
    """What reading and following a grammar may take."""
    from llguidance import LLParserLimits

    options: dict[str, Any] = _LIMITS
    return LLParserLimits(**options)


def source(field: str, text: str) -> str:
    """The grammar of a setting as llguidance takes it; raises an Exception that says what is wrong.

    Args:
        field: "json_schema", "regex", or "grammar" in the notation of Lark or GBNF.
        text: its value.
    """
    from llguidance import LLMatcher
    from llguidance.gbnf_to_lark import gbnf_to_lark

    if field == "json_schema":
        options: Any = _JSON
        found: str = LLMatcher.grammar_from_json_schema(text, defaults=options)
    elif field == "regex":
        found = LLMatcher.grammar_from_regex(text)
    else:
        is_gbnf = _GBNF_RULE.search(text) is not None
        found = LLMatcher.grammar_from_lark(gbnf_to_lark(text) if is_gbnf else text)
    return found


def on_deep_stack(work: Callable[[], None]) -> None:
    """Work in a thread with a large stack, to its end; MemoryError if there is no room for it."""
    thread = threading.Thread(target=work, name="ggmlkit grammar")
    with _STACK_SIZE:  # it is that of all threads that begin meanwhile
        before = threading.stack_size(_STACK_BYTES)
        try:
            thread.start()
        except RuntimeError:
            raise MemoryError("there is too little memory for a thread that reads it") from None
        finally:
            threading.stack_size(before)
    thread.join()


def fault(field: str, text: str) -> str:
    """What is wrong with a grammar, in llguidance's words; empty if nothing is."""
    from llguidance import LLMatcher

    said = ["it can't be read"]  # unless the work comes to its end

    def read() -> None:
        try:
            said[0] = LLMatcher.validate_grammar(source(field, text), limits=limits())
        except RecursionError:
            said[0] = "it is nested too deeply"
        except Exception as error:
            said[0] = str(error)

    on_deep_stack(read)
    return "" if said[0].startswith("WARNING") else _in_our_words(said[0])


def _in_our_words(said: str) -> str:
    """What llguidance says, without advice that only its own interface can take."""
    for theirs, ours in _OTHERS_WORDS:
        said = theirs.sub(ours, said)
    return said


def main() -> None:
    """Print the fault of the grammar on standard input, all in JSON."""
    import resource
    import signal

    resource.setrlimit(resource.RLIMIT_AS, (_MEMORY_BYTES, _MEMORY_BYTES))
    given = json.loads(sys.stdin.buffer.read())
    # Processor time: on a busy machine an honest grammar takes longer.
    signal.setitimer(signal.ITIMER_PROF, given["seconds"])
    sys.path[:] = given["path"]
    print(json.dumps(fault(given["field"], given["text"])))


if __name__ == "__main__":
    main()
