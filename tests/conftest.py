"""Options of the test run."""


def pytest_addoption(parser):
    parser.addoption(
        "--update-snapshots", action="store_true", help="write the files under tests/snapshots anew"
    )
    parser.addoption(
        "--fuzz-seconds", type=float, default=60, help="how long each target of test_fuzz.py runs"
    )
