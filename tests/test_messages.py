"""What a long job says while it runs, and what is said where something installed is missing."""

import io
import re
import sys
import time

import pytest
from labelwise import provenance
from labelwise.data import packaged
from labelwise.errors import LabelwiseError
from labelwise.progress import progress


class Terminal(io.StringIO):
    def isatty(self):
        return True


def test_on_a_terminal_there_is_a_bar_with_a_note(monkeypatch):
    monkeypatch.setattr(sys, "stderr", Terminal())
    parts = [[1, 2], [3], [4, 5, 6]]

    def slowly():
        for part in parts:
            time.sleep(0.15)  # tqdm draws ten times a second at most
            yield part

    assert list(progress(slowly(), 6, "images", lambda: "all well", len)) == parts
    said = sys.stderr.getvalue()
    assert re.search(r"images: .*[236]/6 .*all well", said)


def test_what_a_package_lacks_is_told():
    with pytest.raises(LabelwiseError, match="package no_such_package is not installed"):
        packaged.file("no_such_package", "data/labels.json")
    with pytest.raises(LabelwiseError, match="no such file in the installed labelwise"):
        packaged.file("labelwise", "no.json")


def test_records_are_made_without_git_and_without_packages(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(provenance, "PACKAGES", ("numpy", "no-such-package"))
    meta = provenance.meta(0.0, asked=3)
    assert (meta["commit"], meta["dirty"], meta["asked"]) == ("", False, 3)
    assert list(meta["packages"]) == ["numpy"] and meta["machine"]["cores"] >= 1
