"""Every command that a page tells the reader to type is one that works.

Commands are taken from the fenced and indented blocks and the code spans of all pages, so a new
page is covered by being there. What Snakemake is told is planned; what Python is told is run on the
study of controls (``STAND_INS`` says what stands there for what a page names) or, where ``NOT_RUN``
gives a reason, its arguments are read; what make is told must be a target, and what pytest is told
must be there. Of a command with an ellipsis the arguments are read. A line of a block that is none
of these is in ``OTHERS``, with the reason why it is not run here, or the test fails.
"""

import argparse
import io
import re
import runpy
import shlex
import subprocess
import sys

import pytest
from snakemake.cli import get_argument_parser
from study import ROOT

FOLDERS = (".", "docs", "config", "data/*", "data/*/*", "workflow/*")
PAGES = sorted(page for folder in FOLDERS for page in ROOT.glob(f"{folder}/*.md"))

NOT_RUN = {
    "labelwise.bench": "minutes of measuring; tests/test_bench_*.py run each benchmark small",
    "labelwise.annotate": "serves until it is stopped; tests/test_annotation_page.py opens it",
    "labelwise.annotation.interchange": "needs decisions; tests/test_annotation_store.py runs it",
}
"""Modules whose commands are read, not run, and why."""

OTHERS = {
    ".": "the activation of a virtual environment",
    "apt-get": "what .ci/install-debian does",
    "aws": "needs a bucket; tests/workflow/test_storage.py fills one on loopback by other means",
    "echo": "part of starting vLLM",
    "export": "part of starting vLLM",
    "git": "tests/workflow/test_archive.py clones",
    "pip": "installs into an environment; tests/workflow/test_plugin.py installs the example",
    "pip-audit": "needs a server of advisories",
    "sbatch": "needs a cluster with GPUs",
    "source": "part of starting vLLM",
    "unzip": "tests/workflow/test_archive.py unpacks",
    "vllm": "needs GPUs",
    "workflow/profiles/slurm/one-machine.sh": "tests/workflow/test_slurm.py runs it",
}
"""Programs whose commands are not run here, and why."""

NO_COMMANDS = (r"results/\w+/ +", r"protocols: closed: ", "offer a few names")
"""How lines of blocks begin that show files or messages."""

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
    "results/images/NAME.csv": "results/images/demo.csv",
    "results/annotation/NAME/cases.jsonl": "results/annotation/demo-second-look/cases.jsonl",
    "mine.yaml": "config/config.yaml",
    "mine": "workflow/profiles/local",
    "my-study/config.yaml": "config/config.yaml",
    "digits/config.yaml": "config/config.yaml",
    "synsets/config.yaml": "config/config.yaml",
    "results/responses/demo-dozen/palette/closed/b1.jsonl": (
        "results/responses/demo/oracle/closed/b1.jsonl"
    ),
}
"""What the study of controls has in place of what pages name."""


def code(text, spans=True):
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
    if spans:
        yield from (span.replace("\n", " ") for span in re.findall(r"`([^`]+)`", "\n".join(prose)))


def lines(raw):
    """Lines of code, continued lines joined, as words without comments and leading variables."""
    for line in re.sub(r"\\\n\s*", " ", "\n".join(raw)).split("\n"):
        try:
            words = shlex.split(line.strip().removeprefix("$ "), comments=True)
        except ValueError:
            continue
        while words and re.fullmatch(r"[A-Z_]+=.*", words[0]):
            words = words[1:]
        if words:
            yield tuple(words)


def ours(words):
    """Whether words are a command that this project answers for."""
    if words[0] in ("snakemake", "make", "labelwise", "pytest"):
        return len(words) > 1
    return re.match(r"python -m labelwise(\.[a-z_]+)+ ", " ".join(words)) is not None


FOUND = {
    page.relative_to(ROOT).as_posix(): list(filter(ours, lines(code(page.read_text()))))
    for page in PAGES
}
ALL = sorted({command for found in FOUND.values() for command in found})


def starting(word):
    return [command for command in ALL if command[0] == word and command != ("labelwise", "init")]


def shown(command):
    return shlex.join(command)


def test_commands_are_found():
    assert len(FOUND["README.md"]) > 10 and len(ALL) > 20


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_every_line_of_a_block_is_run_or_has_a_reason(page):
    for words in lines(code(page.read_text(), spans=False)):
        shown = re.match("|".join(NO_COMMANDS), " ".join(words) + " ")
        assert ours(words) or words[0] in OTHERS or shown, words


def ellipsis(command):
    """Whether a command is a pattern, whose reader fills in something."""
    return any("..." in word for word in command)


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
        if plain(command[1:]) and not ellipsis(command):
            named = get_argument_parser().parse_args(command[1:]).targets
            targets |= {STAND_INS.get(target, target) for target in named}
    assert len(targets) > 3
    snakemake("-n", "--quiet", "rules", "--", *sorted(targets))


@pytest.mark.parametrize(
    "command", [c for c in starting("snakemake") if not plain(c[1:])], ids=shown
)
def test_what_snakemake_is_told_can_be_planned(command):
    arguments = [STAND_INS.get(word, word) for word in command[1:]]
    get_argument_parser().parse_args(arguments)
    if {"--report", "--lint", "--unlock"} & set(arguments) or ellipsis(command):
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
    if module in NOT_RUN or ellipsis(command):
        read_only(monkeypatch)
        with pytest.raises(Read):
            runpy.run_module(module, run_name="__main__", alter_sys=True)
        return
    try:
        runpy.run_module(module, run_name="__main__", alter_sys=True)
    except SystemExit as ended:
        assert not ended.code, capsys.readouterr().err


PIPED = [words for page in PAGES for words in lines(code(page.read_text())) if "|" in words]


@pytest.mark.parametrize("words", PIPED, ids=shown)
def test_what_is_piped_runs(words, built, monkeypatch, capsys):
    at = words.index("|")
    (echo, *said), (_, _, module, *arguments) = words[:at], words[at + 1 :]
    assert echo == "echo"
    monkeypatch.chdir(built.root)
    monkeypatch.setattr(sys, "stdin", io.StringIO(" ".join(said) + "\n"))
    monkeypatch.setattr(sys, "argv", [module, *arguments])
    runpy.run_module(module, run_name="__main__", alter_sys=True)
    assert capsys.readouterr().out


def test_readme_says_how_many_jobs_the_study_is():
    done = subprocess.run(
        [sys.executable, "-m", "snakemake", "-nF", "--nolock", "--quiet", "rules"],
        cwd=ROOT, capture_output=True, text=True, check=True,
    )  # fmt: skip
    planned = int(re.search(r"^total +(\d+)", done.stdout + done.stderr, re.M)[1])
    said = int(re.search(r"about (\d+) jobs", (ROOT / "README.md").read_text())[1])
    assert abs(said - planned) <= planned / 20, planned


@pytest.mark.parametrize("command", [c for c in starting("labelwise") if len(c) > 2], ids=shown)
def test_what_labelwise_is_told_is_read(command, monkeypatch):
    from labelwise.__main__ import main

    read_only(monkeypatch)
    with pytest.raises(Read):
        main(list(command[1:]))


@pytest.mark.parametrize("command", starting("pytest"), ids=shown)
def test_what_pytest_is_told_is_there(command):
    options = (ROOT / "tests/conftest.py").read_text()
    files = [word for word in command if word.endswith(".py")]
    assert files
    for file in files:
        text = (ROOT / file).read_text()
        assert "def test_" in text and ("slow" not in command or "mark.slow" in text), file
    for word in command:
        assert not word.startswith("--") or f'"{word}"' in options, word
