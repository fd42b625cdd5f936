"""Every setting with its variable, its unit and its default."""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any


def _setting(default: Any, variable: str, why: str) -> Any:
    return field(default=default, metadata={"variable": variable, "why": why})


@dataclass(frozen=True)
class SettingsFields:
    """What a deployment may change; each field names its environment variable and its reason."""

    label_studio_url: str = _setting(
        "http://127.0.0.1:8080", "LABEL_STUDIO_URL", "address of your Label Studio"
    )
    label_studio_api_key: str = _setting(
        "", "LABEL_STUDIO_API_KEY", "legacy token or personal access token"
    )
    label_studio_public_url: str = _setting(
        "", "LABEL_STUDIO_PUBLIC_URL", "its address in people's browsers, where that is another"
    )
    page_url: str = _setting(
        "",
        "QUORUM_PUBLIC_URL",
        "address of Quorum's page in people's browsers, put before read-only links",
    )
    redis_url: str = _setting(
        "redis://127.0.0.1:6379/0", "QUORUM_REDIS_URL", "queue; ./quorum starts one if unset"
    )
    data_dir: Path = _setting(Path(".quorum"), "QUORUM_DATA_DIR", "store, logs, secrets")
    store_url: str = _setting(
        "", "QUORUM_STORE_URL", "versions elsewhere: a folder, or an object store as s3://BUCKET/…"
    )
    keep_versions: int = _setting(
        20,
        "QUORUM_KEEP_VERSIONS",
        "versions kept in the store, the current one among them; 0: all; a forecast needs 4",
    )

    # Who may call the backend. It does not start without them; ./quorum up makes them.
    basic_auth_user: str = _setting("", "QUORUM_BASIC_AUTH_USER", "user for setup and predict")
    basic_auth_password: str = _setting("", "QUORUM_BASIC_AUTH_PASSWORD", "its password")
    webhook_secret: str = _setting(
        "", "QUORUM_WEBHOOK_SECRET", "value of the X-Quorum-Secret header on webhooks"
    )
    trusted_proxies: str = _setting(
        "",
        "QUORUM_TRUSTED_PROXIES",
        "addresses or networks of proxies whose X-Forwarded-For is believed, comma-separated; "
        "this host's own are always",
    )

    # What it fetches, and how it logs.
    image_hosts: str = _setting(
        "",
        "QUORUM_IMAGE_HOSTS",
        "hosts beside Label Studio that images may come from: HOST:PORT, comma-separated; "
        "private:HOST:PORT if the name leads into your own network",
    )
    ca_file: str = _setting(
        "", "QUORUM_CA_FILE", "certificates of your own authority, a PEM file, where TLS uses them"
    )
    log_format: str = _setting(
        "text", "QUORUM_LOG_FORMAT", "log lines as text, or as json: one object a line"
    )

    # Two-stage selection.
    K: int = _setting(
        48, "QUORUM_K", "slices kept by uncertainty in the first stage, half the pool at most"
    )
    k: int = _setting(8, "QUORUM_BATCH", "slices selected a round in the second stage")
    strategy: str = _setting(
        "two-stage-narrowing", "QUORUM_STRATEGY", "name in the strategies' registry"
    )
    cold_start: str = _setting(
        "thumbnails",
        "QUORUM_COLD_START",
        "features of the first batch: thumbnails, or encoder (self-supervised on the pool)",
    )

    # When a round starts. Besides: "Start training", and any label once nothing is left to label.
    labels_per_round: int = _setting(
        0, "QUORUM_LABELS_PER_ROUND", "new training labels that start a round; 0 means k"
    )
    ahead: bool = _setting(
        True,
        "QUORUM_AHEAD",
        "start with half of them if the batch would else be used up before the next is ready",
    )
    round_after_s: float = _setting(
        0.0, "QUORUM_ROUND_AFTER_S", "start with any new label after this time; 0 means never"
    )

    paused: bool = _setting(
        False, "QUORUM_PAUSED", "no round begins by itself; those asked for by hand do"
    )

    # Is the draft a help? Slices that never get one are compared with the others.
    hold_drafts_back: float = _setting(
        0.0, "QUORUM_HOLD_DRAFTS_BACK", "share of slices, drawn at random, that get no draft"
    )

    # The rest, once enough is labelled.
    rest_as: str = _setting(
        "predictions",
        "QUORUM_REST_AS",
        "what 'annotate the rest' makes: predictions, or annotations marked as the committee's",
    )

    # The project manager's page.
    pseudonymous: bool = _setting(
        False, "QUORUM_PSEUDONYMOUS", "annotators are numbers on the page, and have no name"
    )

    # The committee. 0 or "" means the preset for the device (see learning.training).
    network: str = _setting(
        "", "QUORUM_NETWORK", "fcn, unet, cumednet, monai:NAME, or package.module:Class"
    )
    members: int = _setting(4, "QUORUM_MEMBERS", "committee size M; the paper uses 4")
    width: int = _setting(0, "QUORUM_WIDTH", "channels at full resolution")
    scales: int = _setting(0, "QUORUM_SCALES", "depth of the encoder")
    side_px: int = _setting(0, "QUORUM_SIDE_PX", "slices are fitted into a square of this side")
    steps: int = _setting(
        0,
        "QUORUM_STEPS",
        "optimizer steps a member; the preset's grow so that each label is seen 10 times",
    )
    batch_size: int = _setting(0, "QUORUM_TRAIN_BATCH", "slices an optimizer step")
    start: str = _setting(
        "scratch", "QUORUM_START", "members' first weights: scratch, or encoder (self-supervised)"
    )
    semi_supervised: bool = _setting(
        False, "QUORUM_SEMI_SUPERVISED", "learn also from what the committee agrees on, unlabelled"
    )
    bootstrap_over: str = _setting(
        "none",
        "QUORUM_BOOTSTRAP_OVER",
        "what members resample: none (all learn from every label), slices or patients",
    )
    augmentation: str = _setting(
        "repeats",
        "QUORUM_AUGMENTATION",
        "labelled slices that are turned, scaled, … at random: repeats (what is seen often), "
        "all or none",
    )
    mirror: bool = _setting(
        False,
        "QUORUM_MIRROR",
        "learn from mirrored slices too, left for right: not where a label or its shape has a side",
    )
    device: str = _setting("auto", "QUORUM_DEVICE", "auto, cpu, cuda or cuda:N")
    seed: int = _setting(
        0, "QUORUM_SEED", "seed of the first batch, of resampling and of initial weights"
    )

    # Several annotators of one slice.
    consensus: str = _setting(
        "majority", "QUORUM_CONSENSUS", "how their masks become one target: majority or staple"
    )
    adjudicate_above: float = _setting(
        0.5,
        "QUORUM_ADJUDICATE_ABOVE",
        "disagreement (1 - Dice) that needs a reviewer; 1: never",
    )
    suspect_weight: float = _setting(
        1.0, "QUORUM_SUSPECT_WEIGHT", "what an annotator counts who disagrees systematically"
    )

    # When enough is labelled; 0 means never. Told on the page, nothing is stopped.
    target_mean_iou: float = _setting(
        0.0, "QUORUM_TARGET_MEAN_IOU", "held-out mean IoU that its lower 95 % bound must reach"
    )
    label_budget: int = _setting(
        0, "QUORUM_LABEL_BUDGET", "labels that may be spent, evaluation slices among them"
    )

    # Evaluation on held-out patients; its labels are paid from the annotation budget.
    held_out_fraction: float = _setting(0.2, "QUORUM_HELD_OUT_FRACTION", "share of patients")
    evaluation_slices: int = _setting(
        12, "QUORUM_EVALUATION_SLICES", "held-out slices that are asked to be labelled"
    )
    slab_mm: float = _setting(10.0, "QUORUM_SLAB_MM", "slab thickness if there is one patient")
    split_key: str = _setting("quorum", "QUORUM_SPLIT_KEY", "key of the held-out hash")

    # The order in Label Studio.
    drafts_ahead: int = _setting(
        1000, "QUORUM_DRAFTS_AHEAD", "first slices of the order that get a draft; the rest a rank"
    )
    push_chunk: int = _setting(500, "QUORUM_PUSH_CHUNK", "predictions in one request, at most")
    push_pause_s: float = _setting(
        0.05, "QUORUM_PUSH_PAUSE_S", "least pause between requests: annotators' clicks stay quick"
    )
    keep_predictions: int = _setting(
        1, "QUORUM_KEEP_PREDICTIONS", "older versions whose predictions stay in Label Studio"
    )

    # Work and its limits.
    shard_slices: int = _setting(500, "QUORUM_SHARD", "slices that one job scores")
    attempts: int = _setting(3, "QUORUM_ATTEMPTS", "how often a step is tried in one round")
    round_timeout_s: int = _setting(4 * 3600, "QUORUM_ROUND_TIMEOUT_S", "longest step of a round")
    request_timeout_s: float = _setting(60.0, "QUORUM_REQUEST_TIMEOUT_S", "one API call")
    patience_s: float = _setting(
        10.0, "QUORUM_PATIENCE_S", "how long calls are repeated while Label Studio is restarting"
    )
    reconcile_s: float = _setting(
        60.0, "QUORUM_RECONCILE_S", "how often lost webhooks are looked for"
    )
    cache_mib: int = _setting(
        4096,
        "QUORUM_CACHE_MIB",
        "MiB of labels and pictures that a machine keeps, of all projects together; 0: none",
    )
    heartbeat_s: float = _setting(
        10.0, "QUORUM_HEARTBEAT_S", "a worker silent for three of these has died: its step moves on"
    )


# What goes into TrainingSettings, under the same names, where it is set.
TRAINING_SETTINGS = (
    "network",
    "width",
    "scales",
    "side_px",
    "steps",
    "batch_size",
    "start",
    "semi_supervised",
    "bootstrap_over",
    "augmentation",
    "mirror",
)

# What a project may set for itself; all else is the deployment's.
PROJECT_SETTINGS = (
    "K",
    "k",
    "strategy",
    "labels_per_round",
    "ahead",
    "round_after_s",
    "consensus",
    "adjudicate_above",
    "suspect_weight",
    "target_mean_iou",
    "label_budget",
    "evaluation_slices",
    "paused",
    "hold_drafts_back",
    "rest_as",
    "pseudonymous",
    "members",
    *TRAINING_SETTINGS,
)


def variable_of(name: str) -> str:
    """The environment variable of a setting."""
    return next(str(f.metadata["variable"]) for f in fields(SettingsFields) if f.name == name)
