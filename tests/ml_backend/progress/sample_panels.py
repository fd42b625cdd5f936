"""Panels of a project under way and of one on its first day, as templates get them."""

from __future__ import annotations

from typing import Any

NOTHING = {"mean": None, "low": None, "high": None}
AT = "2026-03-01T12:00:00+00:00"
COUNTS = (
    "slices",
    "labelled",
    "partly",
    "pool",
    "held_out",
    "evaluation",
    "skipped",
    "auto",
    "waiting",
)
ACTIONS = (
    "train",
    "stop",
    "pause",
    "resume",
    "settings",
    "rollback",
    "annotate-rest",
    "undo-rest",
    "cancel-rest",
    "share",
    "revoke-links",
    "export",
)


def interval(mean: float, low: float, high: float) -> dict[str, float]:
    return {"mean": mean, "low": low, "high": high}


def action(name: str, available: bool = True, text: str = "") -> dict[str, Any]:
    k = {
        "name": "k",
        "label": f"Slices of a batch{text}",
        "kind": "number",
        "value": f"8{text}",
        "options": [],
        "hint": f"In each round{text}.",
        "min": 1,
        "max": None,
        "step": "1",
    }
    yes = {"value": "yes", "label": f"yes{text}"}
    hide = {**k, "name": "hide", "kind": "choice", "options": [yes], "min": None, "step": None}
    version = {**k, "name": "version", "kind": "hidden", "value": f"r0001{text}"}
    fields = {"settings": [k, hide], "rollback": [version]}
    return {
        "name": name,
        "title": f"Do {name}{text}",
        "says": [f"It happens at once{text}."],
        "button": f"Yes, {name}{text}",
        "danger": name == "stop",
        "available": available,
        "why_not": None if available else f"not now{text}",
        "fields": fields.get(name, []),
    }


def first_day() -> dict[str, Any]:
    """Nothing was read, labelled or trained."""
    arm = {"slices": 0, "median_s": None}
    return {
        "project_id": 8,
        "now": {
            "project_id": 8,
            "title": None,
            "address": "http://labels.example/projects/8/data",
            "updated_at": None,
            "counts": dict.fromkeys(COUNTS),
            "round": None,
            "next": [],
            "workers": [],
            "trouble": None,
            "remedy": None,
            "paused": False,
            "problems": [],
            "rest": None,
            "rollback": None,
        },
        "quality": {
            "versions": [],
            "target": None,
            "budget": None,
            "distance": None,
            "stopping": None,
            "random": None,
        },
        "forecast": {
            "labels": None,
            "labels_per_hour": NOTHING,
            "window_h": None,
            "target": None,
            "budget": None,
            "all": None,
            "saved_h": NOTHING,
            "says": None,
        },
        "people": {"pseudonymous": False, "people": [], "adjudicate": []},
        "trial": {
            "share": None,
            "with": arm,
            "without": arm,
            "time_ratio": NOTHING,
            "saved_s": NOTHING,
            "saved_h": NOTHING,
            "agreement": {"with": NOTHING, "without": NOTHING},
            "area_ratio": NOTHING,
            "verdict": None,
        },
        "data": {
            "by": {"modality": [], "body_part": [], "series": [], "patient": []},
            "classes": [],
            "empty_masks": None,
            "annotated": None,
            "quarantined": None,
        },
        "history": {"actions": []},
        "settings": {},
        "own_settings": set(),
        "exports": [],
        "export_formats": [],
        "actions": {
            name: action(name, available=name in ("train", "pause", "settings")) for name in ACTIONS
        },
    }


def under_way(text: str = "") -> dict[str, Any]:
    """Every panel filled; `text` goes into each text that comes from outside."""
    found = first_day()
    versions = [
        {
            "version": f"r000{n}{text}",
            "published_at": AT,
            "labels": 40 * n,
            "training": 30 * n,
            "evaluation": 10 * n,
            "held_out_unit": f"patient{text}",
            "mean_iou": interval(0.6 + 0.05 * n, 0.5 + 0.05 * n, 0.7 + 0.05 * n),
            "dice": 0.7,
            "classes": [{"name": f"liver{text}", "iou": 0.7, "dice": 0.8, "hd95_px": 4.25}],
            "current": n == 4,
        }
        for n in range(1, 9)
    ]
    slices = [{"value": f"v{n}{text}", "slices": 9, "labelled": 3} for n in range(8)]
    task = {"task": 5, "address": "http://labels.example/projects/8/data?task=5"}
    left = {
        "labels": interval(100, 50, 200),
        "hours": interval(3.0, 1.5, 6.0),
        "says": f"so{text}",
    }
    found["now"].update(
        title=f"Organs{text}",
        updated_at=AT,
        counts=dict(zip(COUNTS, (500, 140, 5, 250, 90, 20, 10, 30, 350), strict=True)),
        round={
            "job_status": "started",
            "step": "score",
            "done": 25,
            "total": 100,
            "error": f"disk full{text}",
            "remedy": f"Free some{text}.",
            "waits": True,
            "version": f"r0009{text}",
            "started_at": AT,
        },
        next=[
            {
                **task,
                "rank": 1,
                "version": "r0004",
                "uncertainty": 0.1,
                "uncertainty_share": 0.97,
                "novelty": 0.3,
                "reason": f"because{text}",
                "picture": "next-5",
            },
            {
                **task,
                "rank": 2,
                "version": "r0004",
                "uncertainty": None,
                "uncertainty_share": None,
                "novelty": None,
                "reason": None,
                "picture": None,
            },
        ],
        workers=[
            {
                "name": f"w{text}",
                "device": f"GPU{text}",
                "state": "busy",
                "doing": f"training{text}",
                "silent_s": 300.0,
            }
        ],
        trouble=f"no answer{text}",
        remedy=f"start it{text}",
        problems=[{"task_id": n, "reason": f"damaged{text}"} for n in range(9)],
        rest={
            "as": "predictions",
            "version": f"r0004{text}",
            "state": "failed",
            "done": 10,
            "total": 100,
            "error": f"gone{text}",
            "began_at": AT,
        },
        rollback={
            "version": f"r0002{text}",
            "state": "failed",
            "error": f"damaged weights{text}",
            "remedy": f"Choose another{text}.",
        },
    )
    found["quality"].update(
        versions=versions,
        target=0.85,
        budget=400,
        distance=0.15,
        stopping={"stop": False, "reason": f"not yet{text}"},
        random=[[40, 0.5], [200, 0.6]],
    )
    found["forecast"].update(
        labels=110,
        labels_per_hour=interval(30, 25, 35),
        window_h=24.0,
        target=left,
        budget=left,
        all=left,
        saved_h=interval(9, 7, 12),
        says=f"about 9 hours{text}",
    )
    found["people"].update(
        pseudonymous=True,
        people=[
            {
                "annotator": 3,
                "name": f"Annotator 3{text}",
                "slices": 60,
                "median_s": 75.0,
                "q1_s": 40.0,
                "q3_s": 120.0,
                "dice": interval(0.9, 0.85, 0.93),
                "kappa": 0.88,
                "changed": interval(0.1, 0.05, 0.15),
                "drafts": 50,
                "suspected": f"draws larger{text}",
                "last_at": AT,
            }
        ],
        adjudicate=[{**task, "disagreement": 0.6}] * 30,
    )
    found["trial"].update(
        {"with": {"slices": 90, "median_s": 60}, "without": {"slices": 10, "median_s": 120}},
        share=0.1,
        time_ratio=interval(0.5, 0.4, 0.6),
        saved_s=interval(60, 40, 80),
        saved_h=interval(1.5, 1.0, 2.0),
        agreement={"with": interval(0.9, 0.8, 0.95), "without": NOTHING},
        area_ratio=interval(1.02, 0.9, 1.1),
        verdict=f"Drafts halve the time{text}",
    )
    found["data"].update(
        by=dict.fromkeys(("modality", "body_part", "series", "patient"), slices),
        classes=[
            {
                "name": f"liver{text}",
                "slices": 90,
                "empty": 50,
                "median_share": 0.08,
                "q1_share": 0.04,
                "q3_share": 0.1,
                "histogram": [0, 0, 1, 5, 9, 20, 40, 10, 5, 0],
            }
        ],
        empty_masks=7,
        annotated=140,
        quarantined={
            "held": 2,
            "released": 1,
            "refused": 0,
            "reasons": [{"reason": f"burned in{text}", "objects": 3}],
        },
    )
    found["history"]["actions"] = [
        {"at": AT, "who": f"manager{text}", "what": f"train{text}", "details": f"now{text}"}
    ] * 10
    row = {"format": f"png{text}", "bytes": None, "made_at": None, "error": None, "address": None}
    found["exports"] = [
        {**row, "name": None, "state": "running"},
        {**row, "name": None, "state": "failed", "error": f"full{text}"},
        {
            **row,
            "name": f"a{text}.zip",
            "state": "done",
            "bytes": 4_000_000,
            "made_at": AT,
            "address": "/progress/8/exports/a.zip",
        },
        {**row, "name": f"b{text}.zip", "state": "elsewhere", "host": f"worker{text}"},
    ]
    found["export_formats"] = [{"name": "png", "title": f"PNG{text}"}]
    found["actions"] = {name: action(name, name != "stop", text) for name in ACTIONS}
    return found
