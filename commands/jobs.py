"""The commands as jobs of a Ray cluster."""

from typing import Annotated

import typer

from commands.options import Dashboard
from commands.screen import console, say

_INTERRUPTED = 130


def submit(
    context: typer.Context,
    command: Annotated[str, typer.Argument(help="train, tune, ablate or convert; its own arguments follow")],
    address: Dashboard,
    env: Annotated[
        list[str] | None, typer.Option(help="A variable for the job, NAME (as it is here) or NAME=VALUE; repeatable")
    ] = None,
    wait: Annotated[bool, typer.Option(help="Show what the job prints until it ends, and end with its status")] = True,
) -> None:
    """Run a command on a Ray cluster, with a copy of this checkout. Interrupting this leaves the job running.

    Paths must mean the same there: absolute, or URIs. A recipe or search space in a file is sent along. Of the
    environment the job gets AWS_ENDPOINT_URL and AWS_DEFAULT_REGION; secrets only by --env, and whoever can open the
    cluster's dashboard can read them.

    Example: `posestream submit train hrnet_w32_coco_256x192 data.train=s3://bucket/coco/train2017
    run_dir=s3://bucket/runs/w32 --workers 8 --gpus-per-worker 1 --address http://head:8265`
    """
    from tune.job_arguments import SUBMITTED, portable_arguments
    from tune.job_client import open_client
    from tune.jobs import passed_on
    from tune.jobs import submit as submit_job

    if command not in SUBMITTED:
        raise typer.BadParameter(f"{command!r} is none of {', '.join(SUBMITTED)}", param_hint="command")
    known = context.find_root().command.commands  # type: ignore[attr-defined]
    parser = known["tune"].commands["run"] if command == "tune" else known[command]
    parsed = parser.make_context(command, list(context.args), context.parent)
    arguments = portable_arguments(command, context.args, parsed.params)
    client = open_client(address)
    job_id = submit_job(client, command, arguments, passed_on(env or []))
    if wait:
        _watch(job_id, address)
    else:
        print(job_id)


def status(
    job_id: Annotated[str | None, typer.Argument(metavar="[ID]", help="A job  [default: all of them]")] = None,
    *,
    address: Dashboard,
    lines: Annotated[int, typer.Option(min=0, help="How many of its last lines to show")] = 20,
    follow: Annotated[bool, typer.Option("--follow", help="Show what it prints until it ends")] = False,
) -> None:
    """List the jobs of a cluster, or show one.

    Example: `posestream status --address http://head:8265`, or `posestream status raysubmit_1 --follow --address ...`
    """
    from tune.job_client import open_client
    from tune.job_table import failure, job_table, summary
    from tune.jobs import job, jobs, last_lines

    client = open_client(address)
    if job_id is None:
        console().print(job_table(jobs(client)))
        return
    if follow:
        _watch(job_id, address)
        return
    found = job(client, job_id)
    say(last_lines(client, job_id, lines).rstrip("\n"))
    say(summary(found))
    if (reason := failure(found)) is not None:
        say(reason)


def stop(job_id: Annotated[str, typer.Argument(metavar="ID", help="A job")], address: Dashboard) -> None:
    """End a job; the same `submit` begins it again from its last checkpoint.

    Example: `posestream stop raysubmit_1 --address http://head:8265`
    """
    from tune.job_client import open_client
    from tune.job_table import summary
    from tune.jobs import stop as stop_job

    say(summary(stop_job(open_client(address), job_id)))


def _watch(job_id: str, address: str) -> None:
    """Show what a job prints, and exit with its status."""
    from tune.job_client import open_client
    from tune.job_table import exit_status, failure, summary
    from tune.jobs import watch

    say(f"job {job_id}; interrupting this leaves it running")
    try:
        found = watch(open_client(address), job_id, lambda text: print(text, end="", flush=True))
    except KeyboardInterrupt:
        say(
            f"\njob {job_id} goes on. To watch it again: posestream status {job_id} --follow --address {address}\n"
            f"To end it: posestream stop {job_id} --address {address}"
        )
        raise typer.Exit(_INTERRUPTED) from None
    say(summary(found))
    if (reason := failure(found)) is not None:
        say(reason)
    raise typer.Exit(exit_status(found))
