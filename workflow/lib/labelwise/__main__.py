"""``labelwise init`` and ``labelwise example``: a study of your own images.

The stages of the workflow are commands of their own: ``python -m labelwise.STAGE --help``.
"""

import argparse

from labelwise import __version__
from labelwise.errors import cli
from labelwise.studies import examples, own

COMMANDS = {"init": own, "example": examples}


@cli
def main(argv: list[str] | None = None) -> None:
    """Command line."""
    parser = argparse.ArgumentParser(
        prog="labelwise",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"labelwise {__version__}")
    commands = parser.add_subparsers(dest="command", required=True)
    for name, module in COMMANDS.items():
        command = commands.add_parser(
            name,
            help=(module.__doc__ or "").split("\n")[0],
            description=module.__doc__,
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        module.add_arguments(command)
    args = parser.parse_args(argv)
    COMMANDS[args.command].run(args)


if __name__ == "__main__":
    main()
