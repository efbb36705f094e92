"""Stage ``collate``: CSV files with the same columns, one under the other.

``python -m labelwise.collate FILES... --out CSV``; a ``FILES`` argument that begins
with ``@`` is a file with one path a line. Without files the table has no rows.
"""

import argparse
from pathlib import Path

from labelwise import records
from labelwise.errors import cli


@cli
def main(argv: list[str] | None = None) -> None:
    """Command line of the stage."""
    parser = argparse.ArgumentParser(
        prog="python -m labelwise.collate", description=__doc__, fromfile_prefix_chars="@"
    )
    parser.add_argument("files", nargs="*", type=Path)
    parser.add_argument("--out", type=Path, required=True)
    args = parser.parse_args(argv)
    tables = [records.read_csv(path) for path in args.files]
    columns = next((list(table[0]) for table in tables if table), ())
    records.write_csv(args.out, columns, (row for table in tables for row in table))


if __name__ == "__main__":
    main()
