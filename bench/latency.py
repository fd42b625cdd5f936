"""``./quorum bench latency``: milliseconds that /predict takes, over HTTP.

The backend runs as ``./quorum up`` runs it, with a published committee, and is asked with user and
password, as Label Studio asks: for the drafts of 1, 10 and 50 tasks by one client, one request
after the other, and of 1 task by 20 clients at once. Pictures come from a small file server that
stands for Label Studio's. In turn with it the forward passes of the same members over as many
squares are timed, ready in memory: what a request takes beyond them is everything else. Where that
goes is told by the same requests to the same application inside the bench's own process.
"""

from __future__ import annotations

import argparse
import itertools
import json
import shlex
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass, replace
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import flask
import httpx
import numpy as np
import torch
from PIL import Image

from demo.brain import CLASS_NAMES, slices
from launcher import CLONE
from launcher.processes import ServiceError, Supervisor, free_port
from launcher.services import await_http, new_secrets, remove_socket, start_backend, start_redis
from ml_backend import app as backend
from ml_backend import gathering, masks
from ml_backend.allocator import keep_large_blocks
from ml_backend.label_studio import LabelStudio
from ml_backend.learning import scoring
from ml_backend.learning.committee import Committee, train_committee
from ml_backend.learning.geometry import fit, to_input
from ml_backend.learning.members import Ask, side_by_side
from ml_backend.learning.training import preset, torch_device
from ml_backend.learning.training_settings import TrainingSettings
from ml_backend.learning.uncertainty import Votes
from ml_backend.settings import Settings
from ml_backend.store import Store

from .pages import hardware, markdown_table, write_section
from .parts import Named, Parts

GOAL = 0.2
PROJECT_ID = 7
VERSION = "r0001-00beef"
CLIENTS = 20
_SCORING_BATCH = 8  # slices that the committee scores at once
_LABELLED = 24
_WARM_UP = 3
_PASSES = "forward passes"
_REST = "all else, and waiting for these"
_CONFIG = (
    '<View><Image name="image" value="$image"/><BrushLabels name="mask" toName="image">'
    + "".join(f'<Label value="{name}"/>' for name in CLASS_NAMES)
    + "</BrushLabels></View>"
)
_TIMED: tuple[Named, ...] = (
    ("connections to Label Studio made and ended", LabelStudio, "of"),
    ("connections to Label Studio made and ended", LabelStudio, "__exit__"),
    ("pictures fetched", LabelStudio, "image"),
    ("PNG", gathering, "decode_image"),
    ("fitted into squares", scoring, "fit"),
    ("votes of the members", Votes, "add"),
    ("votes of the members", Votes, "variance"),
    ("votes of the members", Votes, "entropy"),
    ("votes of the members", Votes, "mutual_information"),
    ("votes of the members", Votes, "mean"),
    ("drafts at the slices' own size", scoring, "_draft"),
    ("means over pixels", scoring, "_own_means"),
    ("brush code", masks, "encode_rle"),
    ("JSON", backend, "jsonify"),
    ("the request read and checked", backend.bodies, "read_object"),
    ("the store asked", Store, "current"),
    ("the store asked", Store, "metadata"),
    ("the store asked", Store, "noted"),
    ("the store asked", Store, "overrides"),
)


@dataclass(frozen=True)
class Measured:
    """Requests of one kind."""

    side: int  # of the pictures, pixels
    tasks: int  # of one request
    clients: int
    requests: int
    p50_ms: float
    p99_ms: float
    forward_ms: float  # the members' passes over as many squares as are asked for at a time
    shares: list[float]  # spent outside of them, of each run
    response_kb: float


class _Files(SimpleHTTPRequestHandler):
    """One of Label Studio's uploads, without its checks."""

    protocol_version = "HTTP/1.1"  # connections stay open
    disable_nagle_algorithm = True

    def log_message(self, format: str, *args: Any) -> None:
        """Nothing: it would be timed."""


def serve_files(folder: Path, port: int) -> None:
    """Serve a folder until the process ends."""
    handler = partial(_Files, directory=str(folder))
    with ThreadingHTTPServer(("127.0.0.1", port), handler) as server:
        server.serve_forever()


def write_pictures(folder: Path, side: int) -> list[str]:
    """The demo's slices as PNG files, in squares of `side` pixels; their addresses."""
    below = folder / "data" / "upload" / str(side)
    below.mkdir(parents=True)
    addresses = []
    for number, image in enumerate(slices()[0]):
        picture = Image.fromarray(image)
        scale = side / max(picture.size)
        small = picture.resize([round(scale * n) for n in picture.size], Image.Resampling.BILINEAR)
        # Brains alone would be of few greys on black: an MR series has noise everywhere.
        noisy = np.asarray(small) + np.random.default_rng(number).normal(4, 2, small.size[::-1])
        square = Image.new("L", (side, side))
        square.paste(Image.fromarray(noisy.clip(0, 255).astype(np.uint8)))
        square.save(below / f"{number:03d}.png")
        addresses.append(f"/data/upload/{side}/{number:03d}.png")
    return addresses


def publish(store: Store, steps: int) -> Committee:
    """Train a committee on some of the demo's slices, a little, and make it the current version."""
    settings = replace(preset("cpu"), steps=steps)
    images, maps = slices()
    every = max(1, len(images) // _LABELLED)
    committee = train_committee(images[::every], maps[::every], CLASS_NAMES, settings, seed=0)
    trained = {name: value for name, value in asdict(settings).items() if name != "device"}
    metadata = {"version": VERSION, "labels": list(CLASS_NAMES), "training": trained}
    store.publish(VERSION, committee.state(), metadata)
    quantiles = np.linspace(0.0, 0.05, 101).tolist()
    store.note(VERSION, "order", {"quantiles": quantiles, "first_free_score": 0.1})
    store.point_to(VERSION)
    return committee


@dataclass(frozen=True)
class Servers:
    """The backend, and what it needs, up."""

    url: str
    environment: dict[str, str]
    committee: Committee
    files: Path

    def client(self) -> httpx.Client:
        """One that calls as Label Studio does."""
        return httpx.Client(
            base_url=self.url, auth=self.credentials(), timeout=120, trust_env=False
        )

    def credentials(self) -> tuple[str, str]:
        """User and password."""
        user, password = "QUORUM_BASIC_AUTH_USER", "QUORUM_BASIC_AUTH_PASSWORD"
        return self.environment[user], self.environment[password]


@contextmanager
def running(folder: Path, steps: int) -> Iterator[Servers]:
    """Start everything below a folder, and stop it whatever happens. Raises ServiceError."""
    supervisor, redis_url, port = Supervisor(), "", free_port()
    try:
        redis_url = start_redis(supervisor, folder)
        environment = {
            **new_secrets(),
            "QUORUM_REDIS_URL": redis_url,
            "QUORUM_DATA_DIR": str(folder),
            "QUORUM_DEVICE": "cpu",
            "QUORUM_RECONCILE_S": "36000",  # it would look for projects on the file server
            "LABEL_STUDIO_URL": f"http://127.0.0.1:{port}",
            "LABEL_STUDIO_API_KEY": 40 * "a",
            "PYTHONPATH": str(CLONE),
        }
        store = Store(Settings.from_environment(environment).store_root, PROJECT_ID)
        committee = publish(store, steps)
        files = folder / "files"
        files.mkdir()
        argv = [sys.executable, "-m", "bench.latency", "--serve", str(files), str(port)]
        supervisor.start("The file server", argv, environment, folder / "logs" / "files.log")
        await_http(supervisor, "The file server", f"http://127.0.0.1:{port}/", 60)
        url = start_backend(supervisor, folder, environment, "127.0.0.1", free_port(), workers=0)
        yield Servers(url, environment, committee, files)
    finally:
        supervisor.stop()
        remove_socket(redis_url)


def request(addresses: Sequence[str], count: int, start: int) -> dict[str, Any]:
    """The body of a request for `count` tasks, from the `start`-th picture on."""
    numbers = [(start + place) % len(addresses) for place in range(count)]
    tasks = [{"id": n + 1, "data": {"image": addresses[n]}} for n in numbers]
    return {"tasks": tasks, "project": f"{PROJECT_ID}.1", "label_config": _CONFIG, "params": {}}


def ask(client: httpx.Client, body: Mapping[str, Any]) -> tuple[float, int]:
    """Milliseconds of one request, and the answer's bytes. Raises RuntimeError if a draft lacks."""
    started = time.perf_counter()
    answer = client.post("/predict", json=body)
    took_ms = 1000 * (time.perf_counter() - started)
    if answer.status_code != 200:
        raise RuntimeError(f"/predict answered HTTP {answer.status_code}: {answer.text[:200]}")
    results = answer.json()["results"]
    # An empty draft is an answer, too; a task whose picture was not read goes to the end.
    if len(results) != len(body["tasks"]) or any(found["score"] >= 1 for found in results):
        raise RuntimeError("a task got no draft")
    return took_ms, len(answer.content)


class Load:
    """Requests of one kind, and the forward passes that they cannot do without."""

    def __init__(self, servers: Servers, addresses: Sequence[str], tasks: int, clients: int):
        self.tasks, self.clients = tasks, clients
        self._addresses, self._servers = addresses, servers
        side_px = servers.committee.settings.side_px
        images = itertools.islice(itertools.cycle(slices()[0]), tasks)
        squares = torch.from_numpy(np.stack([fit(image, side_px)[0] for image in images]))
        self._batches = to_input(squares).split(_SCORING_BATCH)

    def asked(self, requests: int) -> tuple[list[float], int]:
        """Milliseconds of each request, and the bytes of an answer."""
        each = max(1, requests // self.clients)

        def one(number: int) -> list[tuple[float, int]]:
            with self._servers.client() as client:
                bodies = [
                    request(self._addresses, self.tasks, self.tasks * (number * each + place))
                    for place in range(each)
                ]
                return [ask(client, body) for body in bodies]

        with ThreadPoolExecutor(self.clients) as pool:
            found = list(itertools.chain.from_iterable(pool.map(one, range(self.clients))))
        return [took for took, _ in found], found[0][1]

    def forward_ms(self, times: int) -> float:
        """The median of the passes alone; of several clients' squares one after the other."""
        committee, took = self._servers.committee, []
        device = torch_device(committee.settings.device)
        with torch.inference_mode(), side_by_side(committee.members, device) as answers:
            for _ in range(times + 1):
                started = time.perf_counter()
                for batch in self._batches:
                    for _probability, _features in answers(batch):
                        pass
                took.append(1000 * (time.perf_counter() - started))
        return statistics.median(took[1:]) * self.clients


def measure(load: Load, side: int, requests: int, runs: int) -> Measured:
    """Requests and passes in turn."""
    load.asked(_WARM_UP * load.clients if load.tasks == 1 else 1)
    times = max(2, 10 // load.tasks)
    took, shares, forwards, size = [], [], [], 0
    for _ in range(runs):
        before = load.forward_ms(times)
        found, size = load.asked(max(load.clients, requests // runs))
        forward = (before + load.forward_ms(times)) / 2
        took += found
        forwards.append(forward)
        shares.append(1 - forward / statistics.median(found))
    p50, p99 = np.percentile(took, [50, 99]).tolist()
    kb = size / 1000
    forward = statistics.median(forwards)
    return Measured(side, load.tasks, load.clients, len(took), p50, p99, forward, shares, kb)


@contextmanager
def _passes_timed(parts: Parts) -> Iterator[None]:
    """Time the wait for the members: they answer in threads of their own."""
    module: Any = scoring
    usual = module.side_by_side

    def wait(answers: Ask, x: torch.Tensor) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
        coming = answers(x)
        while True:
            with parts.block(_PASSES):
                answer = next(coming, None)
            if answer is None:
                return
            yield answer

    @contextmanager
    def timed(asked: Sequence[torch.nn.Module], device: torch.device) -> Iterator[Ask]:
        with ExitStack() as stack:
            with parts.block("threads of the members"):
                answers = stack.enter_context(usual(asked, device))
            yield partial(wait, answers)
            with parts.block("threads of the members"):
                stack.close()

    module.side_by_side = timed
    try:
        yield
    finally:
        module.side_by_side = usual


def parts_of(
    servers: Servers, addresses: Sequence[str], tasks: int, requests: int
) -> dict[str, float]:
    """Milliseconds a request of each part, of the same application in this process."""
    made = backend.create_app(Settings.from_environment(servers.environment))
    client, credentials = made.test_client(), servers.credentials()

    def call(number: int) -> None:
        body = request(addresses, tasks, number * tasks)
        if client.post("/predict", json=body, auth=credentials).status_code != 200:
            raise RuntimeError("the application in this process gave no drafts")

    for number in range(_WARM_UP):
        call(number)
    parts = Parts()
    named = [(_REST, flask.Flask, "full_dispatch_request"), *_TIMED]
    with parts.timed(named), _passes_timed(parts):
        for number in range(requests):
            call(number)
    return {part: 1000 * seconds / requests for part, seconds in parts.seconds.items()}


def section(
    results: Sequence[Measured],
    parts: Mapping[str, Mapping[str, float]],
    settings: TrainingSettings,
    command: str,
) -> str:
    """The page's section: a table of requests, one of their parts, and what there is beside."""
    head = ["pictures", "clients", "tasks each", "requests", "p50 ms", "p99 ms"]
    rows: list[list[object]] = [[*head, "forward ms", "outside, share", "answer kB"]]
    for m in results:
        spread = f" ({min(m.shares):.0%} to {max(m.shares):.0%})" if len(m.shares) > 1 else ""
        share = f"{statistics.median(m.shares):.0%}{spread}"
        row = [f"{m.side}²", m.clients, m.tasks, m.requests, f"{m.p50_ms:.1f}", f"{m.p99_ms:.1f}"]
        rows.append([*row, f"{m.forward_ms:.1f}", share, f"{m.response_kb:.0f}"])
    names = sorted({n for each in parts.values() for n in each}, key=lambda n: -_sum(parts, n))
    by_part: list[list[object]] = [["ms a request", *parts]]
    by_part += [[n, *(f"{each.get(n, 0.0):.2f}" for each in parts.values())] for n in names]
    return "\n\n".join(
        [
            "## How long a draft takes over HTTP",
            f"`POST /predict` of the backend as `./quorum up` runs it, with user and password; "
            f"{settings.members} members, {settings.network}, width {settings.width}, "
            f"{settings.scales} scales, {settings.side_px} px. Pictures are the demo's slices in "
            "squares of that side, PNG, from a small file server that stands for Label Studio's "
            "(which takes longer for each picture: see the bench *gather*). *Forward*: the "
            "members' passes alone over as many squares, ready in memory, in turn with the "
            "requests; with several clients the passes of all their requests one after the other, "
            "as they share the same cores. *Outside*: what of the median is not the passes; "
            "median of the runs, least and largest.",
            markdown_table(rows),
            _verdict(results),
            "Where the time goes, without the HTTP server: the same requests to the same "
            "application in one process, each part without what is inside it, summed over threads "
            "where several pictures are read at once.",
            markdown_table(by_part),
            _most(parts),
            _STOCK,
            f"```\n{command}\n```\n\n{hardware()}, torch {torch.__version__}.",
        ]
    )


def _most(parts: Mapping[str, Mapping[str, float]]) -> str:
    """What takes the most beside the passes, of each kind of request."""
    told = []
    for title, each in parts.items():
        others = {name: ms for name, ms in each.items() if name not in (_PASSES, _REST)}
        first = sorted(others, key=lambda name: -others[name])[:3]
        named = ", ".join(f"{name} ({others[name]:.1f} ms)" for name in first)
        told.append(f"of {title}: {named}")
    return (
        f"What takes the most beside the passes {'; '.join(told)}. The network is small: of its "
        "few milliseconds a slice, what each picture costs to fetch, unpack and draw on is a "
        "large share."
    )


_STOCK = """\
**The stock examples.** No example for brush masks in Label Studio's repository of backends \
(`label-studio-ml-backend`, `label_studio_ml/examples`) runs without weights that are \
downloaded: `segment_anything_model` (MobileSAM or SAM ViT-H), `segment_anything_2_image` and \
`segment_anything_video_interactive` (SAM 2), `grounding_sam` (GroundingDINO and SAM), `yolo` \
(`yolov8n-seg.pt`). So no time of theirs stands beside ours. The first three besides draft nothing \
before somebody has clicked into the image. Each of them codes a mask with Label Studio's own \
package, which `./quorum bench brush` times beside ours."""


def _sum(parts: Mapping[str, Mapping[str, float]], name: str) -> float:
    return sum(each.get(name, 0.0) for each in parts.values())


def _verdict(results: Sequence[Measured]) -> str:
    over = [m for m in results if statistics.median(m.shares) > GOAL]
    aimed = f"At most {GOAL:.0%} outside the passes was aimed at"
    if not over:
        return f"{aimed}: held everywhere."
    shown = "; ".join(
        f"{m.clients} × {m.tasks} at {m.side}² ({statistics.median(m.shares):.0%})" for m in over
    )
    return (
        f"{aimed}: held in {len(results) - len(over)} of {len(results)} rows. **Above**: {shown}."
    )


def run(
    sides: Sequence[int], counts: Sequence[int], clients: int, requests: int, runs: int, steps: int
) -> tuple[list[Measured], dict[str, dict[str, float]], TrainingSettings]:
    """Measure everything. Raises ServiceError, RuntimeError if a draft lacks."""
    keep_large_blocks()
    results, parts = [], {}
    with (
        tempfile.TemporaryDirectory(prefix="quorum-latency-") as name,
        running(Path(name), steps) as servers,
    ):
        for side in sides:
            addresses = write_pictures(servers.files, side)
            for tasks in counts:
                load = Load(servers, addresses, tasks, clients=1)
                wanted = max(2 * runs, requests // max(1, round(tasks**0.6)))
                results.append(measure(load, side, wanted, runs))
            load = Load(servers, addresses, 1, clients)
            results.append(measure(load, side, 2 * requests, runs))
            for tasks in sorted({min(counts), max(counts)}):
                few = max(2, requests // tasks // 2)
                title = f"{tasks} tasks, {side}²" if tasks > 1 else f"1 task, {side}²"
                parts[title] = parts_of(servers, addresses, tasks, few)
            print(f"pictures of {side}² measured", file=sys.stderr, flush=True)
        return results, parts, servers.committee.settings


def main(argv: Sequence[str] | None = None) -> int:
    """Measure, print the tables, write them into a page."""
    words = list(sys.argv[1:] if argv is None else argv)
    parser = argparse.ArgumentParser(prog="quorum bench latency", description=__doc__)
    add = parser.add_argument
    add("--sides", type=_numbers, default=(256, 512), metavar="A,B,…",
        help="of the pictures, pixels (256,512)")  # fmt: skip
    add("--tasks", type=_numbers, default=(1, 10, 50), metavar="A,B,…",
        help="in one request (1,10,50)")  # fmt: skip
    add("--clients", type=int, default=CLIENTS, help="at once, of 1 task each (%(default)s)")
    add("--requests", type=int, default=200, help="of 1 task; fewer of more (%(default)s)")
    add("--runs", type=int, default=5, help="that they are divided into (%(default)s)")
    add("--steps", type=int, default=60, help="that the members are trained for (%(default)s)")
    add("--page", type=Path, metavar="FILE", help="page whose section is replaced")
    add("--json", type=Path, metavar="FILE", help="file for the figures")
    add("--serve", nargs=2, metavar=("FOLDER", "PORT"), help=argparse.SUPPRESS)
    arguments = parser.parse_args(words)
    if arguments.serve:
        serve_files(Path(arguments.serve[0]), int(arguments.serve[1]))
        return 0
    if min(arguments.clients, arguments.requests, arguments.runs, arguments.steps) < 1:
        parser.error("--clients, --requests, --runs and --steps must be at least 1")
    try:
        results, parts, settings = run(
            arguments.sides,
            arguments.tasks,
            arguments.clients,
            arguments.requests,
            arguments.runs,
            arguments.steps,
        )
    except (ServiceError, RuntimeError, httpx.HTTPError) as error:
        print(f"quorum bench latency: {error}", file=sys.stderr)
        return 1
    command = shlex.join(["./quorum", "bench", "latency", *words])
    text = section(results, parts, settings, command)
    print(text)
    if arguments.json:
        figures = {"requests": [asdict(result) for result in results], "parts": parts}
        arguments.json.write_text(json.dumps(figures, indent=1))
    if arguments.page:
        write_section(arguments.page, "latency", text)
    return 0


def _numbers(text: str) -> tuple[int, ...]:
    numbers = tuple(int(part) for part in text.split(","))
    if min(numbers) < 1:
        raise argparse.ArgumentTypeError("they must be at least 1")
    return numbers


if __name__ == "__main__":
    raise SystemExit(main())
