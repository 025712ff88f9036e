"""Options of the choice of the next token."""

from __future__ import annotations

import argparse
from math import inf
from pathlib import Path
from typing import Any

import pytest

import ggmlkit as gk
from command import ggmlkit
from ggmlkit.cli import options
from ggmlkit.cli.sampling_options import add_sampling, generation_settings, logit_bias, samplers


def settings_of(*words: str) -> dict[str, Any]:
    parser = argparse.ArgumentParser()
    add_sampling(parser)
    options.add_stop(parser)
    options.add_escape(parser, "it")
    options.add_max_tokens(parser, "It.")
    return generation_settings(parser.parse_args(words))


def test_without_options_the_defaults_are_those_of_the_library() -> None:
    assert gk.SamplingParams(**{**settings_of(), "stop": ()}) == gk.SamplingParams()


@pytest.mark.parametrize(
    ("words", "settings"),
    [
        ("--typical 0.5", {"typical_p": 0.5}),
        ("--top-nsigma 1.5", {"top_n_sigma": 1.5}),
        ("--top-nsigma -1", {"top_n_sigma": 0}),
        ("--xtc-probability 0.5 --xtc-threshold 0.2",
         {"xtc_probability": 0.5, "xtc_threshold": 0.2}),
        ("--dynatemp-range 0.4 --dynatemp-exp 2", {"dynatemp_range": 0.4, "dynatemp_exponent": 2}),
        ("--mirostat 2 --mirostat-ent 3 --mirostat-lr 0.2",
         {"mirostat": 2, "mirostat_tau": 3, "mirostat_eta": 0.2}),
        ("--dry-multiplier 0.8 --dry-base 2 --dry-allowed-length 3 --dry-penalty-last-n 9",
         {"dry_multiplier": 0.8, "dry_base": 2, "dry_allowed_length": 3, "dry_penalty_last_n": 9}),
        ("--dry-sequence-breaker none", {"dry_sequence_breakers": []}),
        ("--dry-sequence-breaker a --dry-sequence-breaker b",
         {"dry_sequence_breakers": ["a", "b"]}),
        ("--samplers top_k;temp", {"samplers": ("top_k", "temperature")}),
        ("-l 15+1 -l 3-inf", {"logit_bias": {15: 1.0, 3: -inf}}),
        ("--grammar root::=[a-z]+", {"grammar": "root::=[a-z]+"}),
        ("-j {}", {"json_schema": "{}"}),
        ("--min-keep 2 --repeat-last-n -1", {"min_keep": 2, "repeat_last_n": -1}),
    ],
)  # fmt: skip
def test_each_gives_its_setting(words: str, settings: dict[str, Any]) -> None:
    found = settings_of(*words.split())
    assert {name: found[name] for name in settings} == settings
    gk.SamplingParams(**found)


@pytest.mark.parametrize("text", ["", "15", "a+1", "15+inf", "15+nan", "15*2", "-1+2", "1+-2"])
def test_a_bias_is_an_id_and_a_number(text: str) -> None:
    with pytest.raises(argparse.ArgumentTypeError, match="15\\+1"):
        logit_bias(text)


def test_samplers_are_named_once_and_known() -> None:
    with pytest.raises(argparse.ArgumentTypeError, match="'top_q'; did you mean 'top_p'"):
        samplers("top_q")
    with pytest.raises(argparse.ArgumentTypeError, match="must not name top_k twice"):
        samplers("top_k;top_k")
    with pytest.raises(argparse.ArgumentTypeError, match="separated by ';', not 'top_k,temp'"):
        samplers("top_k,temp")
    assert samplers("top_k; temp") == ("top_k", "temperature")


def test_run_draws_with_them(golden: Path) -> None:
    model = golden / "ggjt-v3-q4_0.bin"
    base = ["run", "-m", model, "-p", "a", "-n", "12", "-c", "64", "--temp", "0"]
    dry = "--dry-multiplier 9 --dry-allowed-length 0 --dry-sequence-breaker none"
    texts = {ggmlkit(*base, *more.split()).stdout for more in ("", dry, "-l 5+99")}
    assert len(texts) == 3


def test_the_text_follows_a_grammar(chat_gguf: Path, tmp_path: Path) -> None:
    (tmp_path / "a.gbnf").write_text('root ::= "yes" | "no"\n')
    (tmp_path / "a.json").write_text('{"enum": ["yes", "no"]}')
    files = ["--grammar-file", str(tmp_path / "a.gbnf")], ["-jf", str(tmp_path / "a.json")]
    run = ["run", "-m", chat_gguf, "-p", "So", "-n", "40"]
    assert ggmlkit(*run, *files[0]).stdout.strip() in ("yes", "no")
    assert ggmlkit(*run, *files[1]).stdout.strip() in ('"yes"', '"no"')
    chat = ["chat", "-m", chat_gguf, "-st", "-p", "So", "-n", "40"]
    assert ggmlkit(*chat, *files[0]).stdout.strip() in ("yes", "no")
    for command in (run, chat):
        said = ggmlkit(*command, "--grammar", "root ::= word", code=2).stderr
        assert "grammar: Rule 'word' not found" in said
        said = ggmlkit(*command, *files[0], *files[1], code=2).stderr
        assert "give either --grammar-file or --json-schema-file" in said


def test_an_answer_of_a_form_is_not_begun_anew_where_the_context_is_full(chat_gguf: Path) -> None:
    words = ["-m", chat_gguf, "-n", "90", "-c", "110", "--temp", "1.5", "-s", "1"]
    grammar = 'root ::= "<" [0-9]{45} ">"'
    done = ggmlkit("chat", *words, "--grammar", grammar, text="a\nb\n/quit\n")
    assert done.stdout.count("<") == 2  # one of each answer
    assert "the context of 110 tokens is full" in done.stderr
