"""The ``mtrec`` command: what the pipeline and the Makefile call."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; an expected error ends as one sentence on standard error and status 1."""
    parser = argparse.ArgumentParser(prog="mtrec", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("fetch", help="fetch and verify the raw data and the model's weights")
    tidy = commands.add_parser("tidy", help="take times out of an executed notebook")
    tidy.add_argument("notebook", type=Path)
    commands.add_parser("readme", help="write results and graph into README.md")
    study = commands.add_parser("study", help="train what the comparison of notebook 07 lacks")
    study.add_argument("domain")
    study.add_argument("--minutes", type=float, help="begin no training after so many minutes")
    reference = commands.add_parser("reference", help="make the last evaluation the reference")
    reference.add_argument("domain")
    chosen = parser.parse_args(arguments)
    try:
        _run(chosen)
    except (ValueError, OSError, KeyError) as error:
        message = error.args[0] if isinstance(error, KeyError) else error
        print(f"mtrec {chosen.command}: {message}", file=sys.stderr)
        return 1
    return 0


def _run(chosen: argparse.Namespace) -> None:
    """Import late: no command pays for what another needs."""
    if chosen.command == "fetch":
        from mtrec.data.fetch import main as fetch

        fetch()
    elif chosen.command == "tidy":
        from mtrec.notebooks import tidy

        tidy(chosen.notebook)
    elif chosen.command == "readme":
        from mtrec.report import main as report

        report()
    elif chosen.command == "study":
        from mtrec.notebooks import setup

        setup()
        from mtrec.study import cost, run

        if run.main(chosen.domain, chosen.minutes):
            cost.main(chosen.domain)
    else:
        from mtrec.evaluation.reference import update

        print(f"wrote {update(chosen.domain)}; commit it")


if __name__ == "__main__":
    sys.exit(main())
