"""Errors that a user can act on, and the one place where they end a command."""

import functools
import os
import select
import sys
from collections.abc import Callable
from typing import Any


class LabelwiseError(ValueError):
    """Bad input: the message names the file, the key and the fix, in one line."""


def brief(error: BaseException, most: int = 300) -> str:
    """What an error says, on one line of at most ``most`` characters; else its kind."""
    return " ".join(str(error).split())[:most] or type(error).__name__


def cli(main: Callable[..., None]) -> Callable[..., None]:
    """Wrap a command: bad input, or a file that cannot be read or written, ends it with one line.

    Exit status 1 for these, 130 when stopped by the keyboard, 141 (as a shell counts SIGPIPE), and
    no line at all, where the reader of its output went away, as ``head`` does.
    """

    @functools.wraps(main)
    def run(*args: Any, **kwargs: Any) -> None:
        try:
            try:
                main(*args, **kwargs)
            except SystemExit:  # --help
                sys.stdout.flush()
                raise
            sys.stdout.flush()
        except LabelwiseError as error:
            print(f"error: {error}", file=sys.stderr, flush=True)
            raise SystemExit(1) from None
        except KeyboardInterrupt:
            print("stopped; what was finished is kept", file=sys.stderr, flush=True)
            raise SystemExit(130) from None
        except OSError as error:
            if isinstance(error, BrokenPipeError) and _unread():
                os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
                raise SystemExit(141) from None
            file = error.filename2 or error.filename
            said = f"{file}: {error.strerror}" if file and error.strerror else brief(error)
            print(f"error: {' '.join(said.split())}", file=sys.stderr, flush=True)
            raise SystemExit(1) from None

    return run


def _unread() -> bool:
    """Whether standard output is a pipe that nobody reads any more."""
    try:
        poll = select.poll()
        poll.register(sys.stdout.fileno(), 0)
        return any(event & select.POLLERR for _, event in poll.poll(0))
    except (OSError, ValueError):
        return False
