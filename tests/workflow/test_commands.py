"""Every command that a page tells the reader to type is one that works.

Commands are taken from the fenced and indented blocks and the code spans of all pages, so a new
page is covered by being there. What Snakemake is told is planned; what Python is told is run on the
study of controls (``STAND_INS`` says what stands there for what a page names) or, where ``NOT_RUN``
gives a reason, its arguments are read; what make is told must be a target.
"""

import argparse
import re
import runpy
import shlex
import subprocess
import sys

import pytest
from snakemake.cli import get_argument_parser
from study import ROOT

PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]
PAGES += [ROOT / "data/demo/README.md", ROOT / "data/demo/labels/README.md"]

NOT_RUN = {
    "labelwise.bench": "minutes of measuring; tests/test_bench_*.py run each benchmark small",
    "labelwise.annotate": "serves until it is stopped; tests/test_annotation_page.py opens it",
    "labelwise.annotation.interchange": "needs decisions; tests/test_annotation_store.py runs it",
}
"""Modules whose commands are read, not run, and why."""

STAND_INS = {
    "taj-mahal": "agidaiko",
    "demo/composed-lite2/open/b1": "small/oracle/open/b1",
    "minilm": "exact",
    "predictions.csv": "results/predictions/small/oracle/closed/b1/exact.csv",
    "a.csv": "results/predictions/small/oracle/closed/b1/exact.csv",
    "b.csv": "results/predictions/small/chance/closed/b1/exact.csv",
    "RESPONSES_A": "results/responses/small/oracle/closed/b1.jsonl",
    "RESPONSES_B": "results/responses/small/chance/closed/b1.jsonl",
    "results/responses/demo/a/closed/b1.jsonl": "results/responses/small/oracle/closed/b1.jsonl",
    "results/responses/demo/b/closed/b1.jsonl": "results/responses/small/chance/closed/b1.jsonl",
    "mine.yaml": "config/config.yaml",
    "mine": "workflow/profiles/local",
    "my-study/config.yaml": "config/config.yaml",
    "digits/config.yaml": "config/config.yaml",
}
"""What the study of controls has in place of what pages name."""


def code(text):
    """Lines of code of a page: of its blocks, except those of data, and its code spans."""
    fence, prose = None, []
    for line in text.split("\n"):
        mark = re.match(r"\s*```(\w*)", line)
        if mark:
            fence = mark[1] if fence is None else None
        elif fence in ("", "bash", "sh", "console") or (fence is None and line.startswith("    ")):
            yield line
        elif fence is None:
            prose.append(line)
    yield from (span.replace("\n", " ") for span in re.findall(r"`([^`]+)`", "\n".join(prose)))


def commands(text):
    """Commands of a page, as words; those with an ellipsis or an alternative are patterns."""
    joined = re.sub(r"\\\n\s*", " ", "\n".join(code(text)))
    for line in joined.split("\n"):
        try:
            words = shlex.split(line.strip().removeprefix("$ "), comments=True)
        except ValueError:
            continue
        while words and re.fullmatch(r"[A-Z_]+=.*", words[0]):
            words = words[1:]
        whole = not any("..." in word or word in ("|", "&&", ";", ">") for word in words)
        if whole and (words[:1] in (["snakemake"], ["make"], ["labelwise"]) and len(words) > 1):
            yield tuple(words)
        if whole and re.match(r"python -m labelwise\.[a-z_.]+( |$)", " ".join(words)):
            yield tuple(words)


FOUND = {page.relative_to(ROOT).as_posix(): list(commands(page.read_text())) for page in PAGES}
ALL = sorted({command for found in FOUND.values() for command in found})


def starting(word):
    return [command for command in ALL if command[0] == word and command != ("labelwise", "init")]


def shown(command):
    return shlex.join(command)


def test_commands_are_found():
    assert len(FOUND["README.md"]) > 10 and len(ALL) > 20


@pytest.mark.parametrize("command", starting("make"), ids=shown)
def test_make_has_the_target(command):
    done = subprocess.run(
        ["make", "-n", *command[1:]], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


def plain(arguments):
    """Whether a command only names targets and cores."""
    return re.fullmatch(r"(--cores \w+ )?([a-z][\w./-]+ )*", " ".join([*arguments, ""])) is not None


def snakemake(*arguments):
    done = subprocess.run(
        [sys.executable, "-m", "snakemake", "--nolock", *arguments],
        cwd=ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]


def test_all_targets_that_pages_name_can_be_planned():
    targets = set()
    for command in starting("snakemake"):
        if plain(command[1:]):
            targets |= set(get_argument_parser().parse_args(command[1:]).targets)
    assert len(targets) > 3
    snakemake("-n", "--quiet", "rules", "--", *sorted(targets))


@pytest.mark.parametrize(
    "command", [c for c in starting("snakemake") if not plain(c[1:])], ids=shown
)
def test_what_snakemake_is_told_can_be_planned(command):
    arguments = [STAND_INS.get(word, word) for word in command[1:]]
    get_argument_parser().parse_args(arguments)
    if {"--report", "--lint", "--unlock"} & set(arguments):
        return  # need all results, or are run by `make lint`
    snakemake(*arguments, *(() if {"-n", "--list-rules"} & set(arguments) else ("-n",)))


class Read(Exception):
    """The arguments of a command were read."""


def read_only(monkeypatch):
    real = argparse.ArgumentParser.parse_args

    def parse_args(*args, **kwargs):
        real(*args, **kwargs)
        raise Read

    monkeypatch.setattr(argparse.ArgumentParser, "parse_args", parse_args)


@pytest.mark.parametrize("command", starting("python"), ids=shown)
def test_what_python_is_told_runs(command, built, monkeypatch, capsys):
    _, _, module, *arguments = command
    monkeypatch.chdir(built.root)
    monkeypatch.setattr(sys, "argv", [module, *(STAND_INS.get(word, word) for word in arguments)])
    if module in NOT_RUN:
        read_only(monkeypatch)
        with pytest.raises(Read):
            runpy.run_module(module, run_name="__main__", alter_sys=True)
        return
    try:
        runpy.run_module(module, run_name="__main__", alter_sys=True)
    except SystemExit as ended:
        assert not ended.code, capsys.readouterr().err


@pytest.mark.parametrize("command", [c for c in starting("labelwise") if len(c) > 2], ids=shown)
def test_what_labelwise_is_told_is_read(command, monkeypatch):
    from labelwise.__main__ import main

    read_only(monkeypatch)
    with pytest.raises(Read):
        main(list(command[1:]))
