"""The study of controls, built once and copied for each test."""

import shutil

import pytest
from study import Study, copy


@pytest.fixture(scope="session")
def built(tmp_path_factory) -> Study:
    """The study, built once; not to be edited."""
    study = copy(tmp_path_factory.mktemp("built"))
    study.build()
    return study


@pytest.fixture
def study(built, tmp_path) -> Study:
    """A copy of the built study, with times and metadata, for one test to edit."""
    shutil.copytree(built.root, tmp_path / "study")
    return Study(tmp_path / "study")
