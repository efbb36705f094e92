"""People correct labels in a browser: ``python -m labelwise.annotate CASES --db FILE.sqlite``.

CASES is what ``snakemake results/annotation/NAME/cases.jsonl`` writes. Everything stays on this
machine; with ``--host`` other than a loopback address a token is needed (``--token``, or the
environment variable ``LABELWISE_TOKEN``), which visitors bring in the address. ``--adjudicate``
shows the cases on which annotators differ. What is decided is kept in the SQLite file, and written
to other formats by ``python -m labelwise.annotation.interchange``.
"""

import argparse
import os
import socket
import sys
from pathlib import Path

from labelwise import images
from labelwise.annotation import cases as case_files
from labelwise.annotation import server
from labelwise.annotation.store import opened
from labelwise.annotation.work import Adjudicating, Annotating, Work
from labelwise.data.rules import read_pairs
from labelwise.errors import LabelwiseError, cli


@cli
def main(argv: list[str] | None = None) -> None:
    """Serve the page until stopped."""
    import uvicorn

    parser = argparse.ArgumentParser(
        prog="python -m labelwise.annotate",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("cases", type=Path, help="results/annotation/*/cases.jsonl")
    parser.add_argument("--db", type=Path, required=True, help="SQLite file with the decisions")
    parser.add_argument("--adjudicate", action="store_true", help="settle their differences")
    parser.add_argument("--equivalents", default="paper", help="classes that count as one there")
    parser.add_argument("--host", default="127.0.0.1", help="address to serve on (127.0.0.1)")
    parser.add_argument("--port", type=int, default=8765, help="port (8765; 0 takes a free one)")
    parser.add_argument(
        "--token",
        default=os.environ.get("LABELWISE_TOKEN"),
        help="what visitors must bring; needed beyond this machine (default: $LABELWISE_TOKEN)",
    )
    args = parser.parse_args(argv)
    if not server.loopback(args.host) and len(args.token or "") < 12:
        raise LabelwiseError(
            f"--host {args.host} opens the page to a network: set LABELWISE_TOKEN (or --token) to"
            " 12 characters or more, which annotators bring as /?token=..."
        )
    found = case_files.read(args.cases)
    for case in found.cases[:1]:
        images.data(case.file)
    with opened(args.db, found) as store:
        work: Work = (
            Adjudicating(found, store, read_pairs(args.equivalents))
            if args.adjudicate
            else Annotating(found)
        )
        app = server.create(found, store, work, args.host, args.token)
        config = uvicorn.Config(app, args.host, args.port, log_level="warning", access_log=False)
        one = uvicorn.Server(config)
        listening = config.bind_socket()
        # Without it each answer waits some 40 ms for an acknowledgement (asyncio leaves it out).
        listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        listening.listen(config.backlog)
        host, port = listening.getsockname()[:2]
        bring = "/?token=..." if args.token else "/"
        print(f"{len(found.cases)} cases of {found.name}; decisions in {args.db}", file=sys.stderr)
        print(f"open http://{host}:{port}{bring}  (Ctrl-C ends)", file=sys.stderr, flush=True)
        one.run(sockets=[listening])


if __name__ == "__main__":
    main()
