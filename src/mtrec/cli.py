"""The ``mtrec`` command: what the pipeline and the Makefile call."""

from __future__ import annotations

import argparse
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from mtrec.registry import STUDIES

ROLES = ("user_id", "item_id", "timestamp", "rating")
SEARCHING = 4  # processes that share a search on a cluster, if no number is given


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; an expected error ends as one sentence on standard error and status 1."""
    chosen = _parser().parse_args(arguments)
    try:
        if (workers := getattr(chosen, "workers", None)) is not None and workers < 1:
            raise ValueError(f"--workers is {workers}; give 1 or more.")
        return _run(chosen)
    except (ValueError, OSError, KeyError) as error:
        message = error.args[0] if isinstance(error, KeyError) else error
        print(f"mtrec {chosen.command}: {message}", file=sys.stderr)
        return 1


def _parser() -> argparse.ArgumentParser:
    """All commands with their options."""
    parser = argparse.ArgumentParser(prog="mtrec", description=__doc__)
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)
    commands.add_parser("fetch", help="fetch and verify the raw data and the model's weights")
    tidy = commands.add_parser("tidy", help="take times out of an executed notebook")
    tidy.add_argument("notebook", type=Path)
    repro = commands.add_parser("repro", help="run the pipeline of one domain, or of several")
    repro.add_argument(
        "domain", nargs="*", help="the default one if none is named; all for every one"
    )
    repro.add_argument(
        "--jobs", type=int, help="domains side by side (two, if there are two cores)"
    )
    repro.add_argument(
        "--ray", metavar="ADDRESS", help="let this Ray cluster read the texts, and run the domains"
    )
    some = commands.add_parser("stages")  # of one domain, for a command that holds this clone
    some.add_argument("domain")
    embed = commands.add_parser("embed", help="let the language model read a domain's texts")
    embed.add_argument("domain", nargs="+", help="all for every one")
    embed.add_argument("--workers", type=int, help="processes (as many as there are cores)")
    embed.add_argument("--ray", metavar="ADDRESS", help="do it on this Ray cluster")
    readme = commands.add_parser("readme", help="write results and graph into README.md")
    readme.add_argument("domain", nargs="*", help="whose figures to print; all if none is named")
    study = commands.add_parser(
        "study", help="train what notebooks 06 to 10, 12, 13 and 19 to 21 lack of a domain"
    )
    study.add_argument("domain", help="all for every one")
    study.add_argument("--part", choices=STUDIES, help="one study only")
    study.add_argument("--minutes", type=float, help="begin no training after so many minutes")
    _add_several(study, "studies")
    tune = commands.add_parser("tune", help="search for better settings of a domain")
    tune.add_argument("domain")
    tune.add_argument("--trials", type=int, help="in all (default: search.trials of params.yaml)")
    tune.add_argument("--minutes", type=float, help="begin no trial after so many minutes")
    tune.add_argument("--sampler", choices=("tpe", "random", "grid"), default="tpe")
    tune.add_argument("--apply", action="store_true", help="write what was found to params.yaml")
    _add_several(tune, "trials")
    held = commands.add_parser("held-out", help="open the parts that are held out, for the README")
    held.add_argument("domain", nargs="+", help="all for every one")
    held.add_argument("--why", required=True, help="a few words for docs/test_rows.md")
    reference = commands.add_parser("reference", help="make the last evaluation the reference")
    reference.add_argument("domain")
    _add_new(commands)
    check = commands.add_parser("check", help="say everything that is wrong with a domain")
    check.add_argument("domain")
    serve = commands.add_parser("serve", help="answer requests with a trained model, over HTTP")
    serve.add_argument("domain")
    serve.add_argument("--host", default="127.0.0.1", help="others than this need MTREC_API_KEY")
    serve.add_argument("--port", type=int, default=8000)
    serve.add_argument("--log", type=Path, help="folder of the log of events")
    score = commands.add_parser("score", help="write the best items of every user")
    score.add_argument("domain")
    score.add_argument("--out", type=Path, required=True, help="Parquet file")
    score.add_argument("--k", type=int, default=10, help="items per user")
    score.add_argument("--workers", type=int, help="processes (as many as there are cores)")
    score.add_argument("--ray", metavar="ADDRESS", help="do it on this Ray cluster")
    score.add_argument(
        "--among", type=int, default=2000,
        help="items that compete, those met most, if no task of the domain ranks items",
    )  # fmt: skip
    train = commands.add_parser("train", help="train the joint model in several processes")
    train.add_argument("domain")
    train.add_argument("--processes", type=int, default=1, help="in all")
    train.add_argument(
        "--coordinator", metavar="HOST:PORT", help="where those of several machines meet"
    )
    train.add_argument("--process-id", type=int, help="number of this one, from 0")
    seal = commands.add_parser("seal", help="write the manifest of a trained model's files")
    seal.add_argument("domain")
    seal.add_argument("--key", type=Path, help="private Ed25519 key in PEM that signs it")
    return parser


def _add_several(command: Any, what: str) -> None:
    """The options of what can be divided among processes."""
    command.add_argument("--workers", type=int, help=f"{what} at a time, each in a process")
    command.add_argument("--ray", metavar="ADDRESS", help=f"divide the {what} on this Ray cluster")
    command.add_argument(
        "--as-is", action="store_true", help="take tables and text vectors as they are"
    )


def _add_new(commands: Any) -> None:
    """The options of ``mtrec new``."""
    new = commands.add_parser("new", help="make a domain of your own files")
    new.add_argument("domain")
    new.add_argument(
        "--events",
        type=Path,
        required=True,
        help="CSV, JSON lines, Parquet or Excel (FILE.xlsx#SHEET)",
    )
    new.add_argument("--items", type=Path)
    new.add_argument("--users", type=Path)
    for role in ROLES:
        option = f"--{role.replace('_', '-')}"
        new.add_argument(option, metavar="COLUMN", help="of events, if not found by itself; - none")
    new.add_argument("--time-unit", help='iso, s, ms, us, ns or a format such as "%%d/%%m/%%Y"')
    new.add_argument("--repeats", choices=("keep", "collapse"), help="of user and item (and time)")
    new.add_argument("--yes", action="store_true", help="ask nothing, take what is proposed")
    new.add_argument("--force", action="store_true", help="replace a domain made this way before")


def _run(chosen: argparse.Namespace) -> int:
    """Run the command and return its status. Import late: none pays for what another needs."""
    if chosen.command == "fetch":
        from mtrec.fetch.download import main as fetch

        fetch()
    elif chosen.command == "tidy":
        from mtrec.report.notebooks import tidy

        tidy(chosen.notebook)
    elif chosen.command == "repro":
        from mtrec.pipeline.run import repro

        unread = _embed(chosen.domain, None, chosen.ray) if chosen.ray else 0
        return unread or repro(chosen.domain, chosen.jobs, ray=chosen.ray)
    elif chosen.command == "stages":
        from mtrec.pipeline.run import run_stages

        return run_stages(chosen.domain)
    elif chosen.command == "held-out":
        from mtrec.pipeline.held_out import held_out

        return held_out(chosen.domain, chosen.why)
    elif chosen.command == "embed":
        return _embed(chosen.domain, chosen.workers, chosen.ray)
    elif chosen.command == "readme":
        from mtrec.report.readme import main as report

        report(chosen.domain)
    elif chosen.command == "study":
        return _studies(chosen)
    elif chosen.command == "tune":
        return _tune(chosen)
    elif chosen.command == "new":
        from mtrec.domains.own.new import new
        from mtrec.domains.own.talk import talk

        paths = {table: getattr(chosen, table) for table in ("events", "items", "users")}
        roles = {role: getattr(chosen, role) for role in ROLES}
        terminal = sys.stdin.isatty() and sys.stdout.isatty()
        asks = talk if terminal and not chosen.yes else None
        made = new(
            chosen.domain, paths, roles, chosen.force, time_unit=chosen.time_unit,
            repeats=chosen.repeats, talk=asks,
        )  # fmt: skip
        print(made.report())
    elif chosen.command == "check":
        from mtrec.domains.own.check import check
        from mtrec.domains.own.findings import as_lines, status

        findings = check(chosen.domain)
        print(as_lines(chosen.domain, findings))
        return status(findings)
    elif chosen.command == "serve":
        from mtrec.service.run import serve

        serve(chosen.domain, chosen.host, chosen.port, chosen.log)
    elif chosen.command == "score":
        from mtrec.scale.score import score

        users = score(chosen.domain, chosen.out, chosen.k, chosen.workers, chosen.ray, chosen.among)
        print(f"{chosen.out}: lists of {users:,} users")
    elif chosen.command == "train":
        from mtrec.scale.launch import train

        train(chosen.domain, chosen.processes, chosen.coordinator, chosen.process_id)
    elif chosen.command == "seal":
        from mtrec.config import experiment
        from mtrec.serving.manifest import seal

        sealed = seal(experiment(chosen.domain).paths, chosen.key)
        print(
            f"{chosen.domain}: model {sealed.version} sealed{' and signed' if chosen.key else ''}"
        )
    else:
        from mtrec.evaluation.reference import update

        print(f"wrote {update(chosen.domain)}; commit it")
    return 0


def _embed(wanted: Sequence[str], workers: int | None, ray: str | None) -> int:
    """Bring the tables of domains up to date, and have their texts read."""
    from mtrec.config import read_params
    from mtrec.paths import find_root
    from mtrec.pipeline import stages
    from mtrec.pipeline.run import repro
    from mtrec.scale.texts import prepare

    wanted = wanted or (stages.DEFAULT,)
    if status := repro(wanted, until="preprocessing"):
        return status
    known = tuple(read_params(find_root() / "params.yaml").domains)
    for domain in known if stages.ALL in wanted else wanted:
        print(f"{domain}: {prepare(domain, workers, ray):,} texts read", flush=True)
    return 0


def _tune(chosen: argparse.Namespace) -> int:
    """Bring the tables and text vectors of a domain up to date, and search for its settings."""
    from mtrec.pipeline.run import repro
    from mtrec.report.notebooks import setup

    if not chosen.as_is and (status := repro((chosen.domain,), until="task_embedding")):
        return status
    minutes = chosen.minutes
    if chosen.ray or chosen.workers:  # who finds all trials in the journal ends
        one = ["tune", chosen.domain, "--as-is", "--sampler", chosen.sampler]
        for limit, given in (("--trials", chosen.trials), ("--minutes", minutes)):
            one += [limit, str(given)] if given is not None else []
        if status := _divided([one] * (chosen.workers or SEARCHING), chosen):
            return status
        minutes = 0.0
    setup()
    from mtrec.studies.tune import tune  # TensorFlow comes with it, and is set up by now

    tune(chosen.domain, chosen.sampler, chosen.trials, minutes, chosen.apply)
    return 0


def _studies(chosen: argparse.Namespace) -> int:
    """Bring the tables and text vectors of one domain, or of all, up to date, and study them."""
    from mtrec.config import read_params
    from mtrec.paths import find_root
    from mtrec.pipeline.run import repro
    from mtrec.pipeline.stages import ALL
    from mtrec.report.notebooks import setup

    known, only = tuple(read_params(find_root() / "params.yaml").domains), chosen.part
    limit = ["--minutes", f"{chosen.minutes:g}"] if chosen.minutes is not None else []
    several = chosen.ray or chosen.workers
    there: list[list[str]] = []
    for domain in known if chosen.domain == ALL else (chosen.domain,):
        parts = [part for part in STUDIES if domain in (STUDIES.domains[part] or known)]
        if only and only not in parts:
            print(f"{domain}: study '{only}' is one of {', '.join(STUDIES.domains[only])} alone")
            continue
        after = STUDIES.stage([only] if only else parts)
        if not chosen.as_is and (status := repro((domain,), until=after)):
            return status
        # One that runs beside others would find the clone busy if it looked at the tables, too.
        commands = [["study", domain, "--part", part, "--as-is", *limit] for part in parts]
        if several:
            there += [one for one in commands if only in (None, one[3])]
            continue
        if not only:  # a process each, whose memory is free before the next begins
            for some in commands:
                command = ["-m", "mtrec.cli", *some]
                if status := subprocess.run([sys.executable, *command], check=False).returncode:
                    return status
            continue
        setup()
        from mtrec.studies import runner  # TensorFlow comes with it, and is set up by now

        runner.main(only, domain, chosen.minutes)
    return _divided(there, chosen) if several else 0


def _divided(commands: Sequence[Sequence[str]], chosen: argparse.Namespace) -> int:
    """Run commands on processes or a cluster, as was asked; the status of one that failed."""
    from mtrec.paths import find_root
    from mtrec.scale import commands as scale

    return max(scale.run(commands, find_root(), chosen.ray, chosen.workers), default=0)


if __name__ == "__main__":
    sys.exit(main())
