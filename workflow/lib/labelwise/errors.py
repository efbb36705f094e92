"""Errors that a user can act on, and the one place where they end a command."""

import functools
import sys
from collections.abc import Callable


class LabelwiseError(ValueError):
    """Bad input: the message names the file, the key and the fix, in one line."""


def cli(main: Callable[..., None]) -> Callable[..., None]:
    """Wrap a command: a ``LabelwiseError`` ends it with one line and exit status 1."""

    @functools.wraps(main)
    def run(*args, **kwargs) -> None:
        try:
            main(*args, **kwargs)
        except LabelwiseError as error:
            print(f"error: {error}", file=sys.stderr, flush=True)
            raise SystemExit(1) from None
        except KeyboardInterrupt:
            print("stopped; what was finished is kept", file=sys.stderr, flush=True)
            raise SystemExit(130) from None

    return run
