"""The page's section, from what was measured."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence

import torch

from ml_backend.learning.training_settings import TrainingSettings

from ..pages import hardware, markdown_table
from .load import Measured
from .parts import PASSES, REST

GOAL = 0.2


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
        others = {name: ms for name, ms in each.items() if name not in (PASSES, REST)}
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
