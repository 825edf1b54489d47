"""A dashboard that is not there, not Ray's, or not for everybody; and output over connections that break."""

import asyncio
import json
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest
from ray.job_submission import JobDetails

from tune.job_client import JobError, open_client
from tune.job_table import command, exit_status, failure, job_table, summary
from tune.jobs import _Output, job, passed_on, watch

Answers = dict[str, tuple[int, object]]


@pytest.fixture
def dashboard() -> Iterator[Callable[[Answers], str]]:
    """dashboard({path: (status, JSON)}): the address of a server that answers so, and 404 to the rest."""
    servers = []

    def serve(answers: Answers) -> str:
        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                nothing = f"Job {self.path.split('/')[-1]} does not exist."
                status, answer = answers.get(self.path, (404, nothing))
                self.send_response(status)
                self.end_headers()
                self.wfile.write((answer if isinstance(answer, str) else json.dumps(answer)).encode())

            def log_message(self, format: str, *args: object) -> None:
                pass

        servers.append(HTTPServer(("127.0.0.1", 0), Handler))
        threading.Thread(target=servers[-1].serve_forever, args=(0.01,), daemon=True).start()
        return f"http://127.0.0.1:{servers[-1].server_port}"

    yield serve
    for server in servers:
        server.shutdown()
        server.server_close()


VERSION = {"/api/version": (200, {"version": "4", "ray_version": "2.60.0", "ray_commit": "x", "session_name": "s"})}


@pytest.mark.parametrize(
    ("given", "meant"),
    [("head:8265", "http://head:8265"), ("head", "http://head:8265"), ("ray://head:10001", "http://head:10001"),
     ("head:6379", "http://head:8265")],
)  # fmt: skip
def test_an_address_without_http_is_refused_with_what_is_meant(given: str, meant: str) -> None:
    with pytest.raises(JobError, match=rf"^{given} is not the address of a dashboard; give it as {meant}$"):
        open_client(given)


def test_nothing_listens_there() -> None:
    with pytest.raises(JobError, match=r"nothing answers at http://127\.0\.0\.1:9: .*refused; .*dashboard-host"):
        open_client("http://127.0.0.1:9")


def test_something_else_listens_there(dashboard: Callable[[Answers], str]) -> None:
    with pytest.raises(JobError, match="is no Ray dashboard"):
        open_client(dashboard({}))


@pytest.mark.parametrize("status", [401, 403])
def test_a_cluster_with_a_token(dashboard: Callable[[Answers], str], status: int) -> None:
    with pytest.raises(JobError, match="asks for its token; set RAY_AUTH_MODE=token, and RAY_AUTH_TOKEN"):
        open_client(dashboard({"/api/version": (status, "no")}))


def test_the_address_given_wins_over_the_environment(
    dashboard: Callable[[Answers], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """To Ray's own client it would be the other way round."""
    monkeypatch.setenv("RAY_API_SERVER_ADDRESS", "http://127.0.0.1:9")
    monkeypatch.setenv("RAY_ADDRESS", "127.0.0.1:9")
    address = dashboard(VERSION)
    assert open_client(address + "/").get_address() == address


def test_an_unknown_job(dashboard: Callable[[Answers], str]) -> None:
    client = open_client(dashboard(VERSION))
    for action in (job, lambda one, name: watch(one, name, print)):
        with pytest.raises(JobError, match=r"the cluster knows no job raysubmit_x; .*lists"):
            action(client, "raysubmit_x")


def test_output_that_comes_again_is_shown_once() -> None:
    """After a lost connection, Ray sends all of it from its beginning."""
    shown: list[str] = []
    output = _Output(shown.append)

    async def connection(*chunks: str) -> AsyncIterator[str]:
        for chunk in chunks:
            yield chunk

    for chunks in (("one\n", "two\n"), ("one\ntwo\nth",), ("one\n", "two\nthree\n"), (), ("one\ntwo\nthree\n", "end")):
        asyncio.run(output.follow(connection(*chunks)))
    assert "".join(shown) == "one\ntwo\nthree\nend"


def test_a_connection_that_has_died_silently_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tune.jobs._QUIET_S", 0.05)

    async def dead() -> AsyncIterator[str]:
        yield "one\n"
        await asyncio.sleep(60)

    shown: list[str] = []
    asyncio.run(_Output(shown.append).follow(dead()))
    assert shown == ["one\n"]


def test_nothing_secret_is_passed_on_unless_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in (
        "AWS_ENDPOINT_URL",
        "AWS_REGION",
        "AWS_SECRET_ACCESS_KEY",
        "AWS_DEFAULT_REGION",
        "AWS_ENDPOINT_URL_S3",
    ):
        monkeypatch.setenv(name, name.lower())
    monkeypatch.delenv("AWS_ENDPOINT_URL_S3")
    monkeypatch.delenv("AWS_REGION")
    usual = {"AWS_ENDPOINT_URL": "aws_endpoint_url", "AWS_DEFAULT_REGION": "aws_default_region"}
    assert passed_on([]) == usual
    asked = passed_on(["AWS_SECRET_ACCESS_KEY", "NCCL_SOCKET_IFNAME=eth0"])
    assert asked == usual | {"AWS_SECRET_ACCESS_KEY": "aws_secret_access_key", "NCCL_SOCKET_IFNAME": "eth0"}
    with pytest.raises(JobError, match="--env HF_TOKEN_X: there is no such variable here"):
        passed_on(["HF_TOKEN_X"])


def details(status: str, **others: object) -> JobDetails:
    entrypoint = "python posestream.py train r 'data.train=[\"s3://KEY:SECRET@b/x\"]'"
    given = {"type": "SUBMISSION", "submission_id": "raysubmit_1", "entrypoint": entrypoint, "start_time": 1000}
    return JobDetails(**(given | {"status": status} | others))


def test_the_exit_status_is_that_of_the_job() -> None:
    assert exit_status(details("SUCCEEDED", driver_exit_code=0)) == 0
    assert exit_status(details("FAILED", driver_exit_code=3)) == 3
    assert exit_status(details("STOPPED", driver_exit_code=-15)) == 1
    assert exit_status(details("FAILED")) == 1


def test_a_python_without_the_dependencies_is_explained() -> None:
    printed = "failed with exit code 1, last available logs (truncated):\nModuleNotFoundError: No module named 'typer'"
    assert "the job's python lacks 'typer'" in str(failure(details("FAILED", message=printed, driver_exit_code=1)))
    assert "the job's python is not there" in str(failure(details("FAILED", message="", driver_exit_code=127)))
    own = "Job entrypoint command failed with exit code 1, last available logs:\nerror: no such file"
    assert failure(details("FAILED", message=own, driver_exit_code=1)) is None
    assert failure(details("FAILED", message="no node can take it")) == "no node can take it"
    assert failure(details("STOPPED")) is None


def test_secrets_of_uris_are_not_shown() -> None:
    assert command(details("RUNNING")) == "posestream train r 'data.train=[\"s3://***@b/x\"]'"
    assert "SECRET" not in summary(details("RUNNING"))
    assert job_table([details("RUNNING", end_time=62_000)]).row_count == 1
