"""A copy of the repository whose workflow a test may run and edit."""

import csv
import re
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
RULES = frozenset(
    rule
    for path in (ROOT / "workflow/rules").glob("*.smk")
    for rule in re.findall(r"^(?:use rule \w+ as|rule) (\w+)", path.read_text(), re.M)
)
MADE = {".git", ".venv", ".snakemake", "results", "__pycache__", ".hypothesis"}
MADE |= {".mypy_cache", ".pytest_cache", ".ruff_cache"}
"""Folders that are not of the repository itself."""


class Study:
    """A workflow folder: build targets, ask what would be built, edit files."""

    def __init__(self, root: Path):
        self.root = root

    def snakemake(self, *args: str) -> tuple[int, str]:
        done = subprocess.run(
            [sys.executable, "-m", "snakemake", *args],
            cwd=self.root,
            capture_output=True,
            text=True,
        )
        return done.returncode, done.stdout + done.stderr

    def build(self, *targets: str) -> str:
        code, said = self.snakemake("--cores", "2", "--", *targets)
        assert code == 0, said
        return said

    def planned(self, *targets: str) -> dict[str, int]:
        """The rules that a dry run would run, and how often."""
        code, said = self.snakemake("-n", "--quiet", "rules", "--", *targets)
        assert code == 0, said
        found = re.findall(r"^(\w+) +(\d+)$", said, re.M)
        return {rule: int(n) for rule, n in found if rule in RULES}

    def refuses(self, *args: str) -> str:
        """The message with which a dry run stops."""
        code, said = self.snakemake("-n", *args)
        assert code != 0, said
        return said

    def edit(self, path: str, old: str, new: str) -> None:
        file = self.root / path
        text = file.read_text()
        assert old in text, (path, old)
        file.write_text(text.replace(old, new, 1))


def files() -> list[str]:
    """The repository's own files, tracked or new; where git does not know, all but made ones."""
    command = ["git", "ls-files", "-co", "--exclude-standard"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    if done.returncode == 0:
        return done.stdout.splitlines()
    found = (path.relative_to(ROOT) for path in ROOT.rglob("*") if path.is_file())
    own = (path for path in found if not any(part in MADE for part in path.parts))
    return [path.as_posix() for path in own]


def copy(target: Path) -> Study:
    """The tracked and new files of the repository, with the study of controls as its config."""
    for name in files():
        if (ROOT / name).is_file():
            (target / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, target / name)
    shutil.copy(ROOT / "tests/workflow/study.yaml", target / "config/config.yaml")
    with open(ROOT / "data/demo/photos.csv", newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["file"].startswith("photos/")][:30]
    lines = [f"{row['image']},data/demo/{row['file']}" for row in rows]
    (target / "images.csv").write_text("\n".join(["image,file", *lines]) + "\n")
    return Study(target)
