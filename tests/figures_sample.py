"""The records of a made-up team, for tests of what is made of them and of pages that show it."""

from datetime import datetime, timedelta, timezone

import numpy as np

from ml_backend.figures.records import WITH, WITHOUT, Record

START = datetime(2026, 3, 2, 8, tzinfo=timezone.utc)  # a Monday
CLASSES = ("lesion", "organ")


def sample_records(
    seed,
    tasks=10_000,
    annotators=20,
    *,
    share=0.2,
    ratio=0.6,
    area_ratio=1.0,
    idle=0.02,
    two_readers=0.1,
):
    """One annotation a task, two of some, by people who differ; drafts cost `ratio` of the time.

    `share` of the tasks have no draft, `idle` of the times are a night's. The work is done on
    weekdays from 8 to 16 h.
    """
    generator = np.random.default_rng(seed)
    usual_s = np.exp(generator.normal(np.log(90), 0.4, annotators))
    skill = generator.uniform(0.75, 0.95, annotators)
    free_at = [START + timedelta(minutes=float(m)) for m in generator.uniform(0, 30, annotators)]
    records = []
    for task in range(1, tasks + 1):
        arm = WITHOUT if generator.random() < share else WITH
        lesion = float(np.exp(generator.normal(np.log(0.02), 0.8))) if task % 20 else 0.0
        readers = 2 if generator.random() < two_readers else 1
        for who in generator.choice(annotators, min(readers, annotators), replace=False).tolist():
            factor = ratio if arm == WITH else 1.0
            spent_s = float(usual_s[who] * factor * np.exp(generator.normal(0, 0.35)))
            measured_s = spent_s + (30_000.0 if generator.random() < idle else 0.0)
            free_at[who] = submitted = _working(free_at[who] + timedelta(seconds=spent_s))
            drawn = lesion * (area_ratio if arm == WITH else 1.0)
            moment = submitted.isoformat().replace("+00:00", "Z")
            records.append(
                Record(
                    annotation=len(records) + 1,
                    task=task,
                    annotator=who + 1,
                    created_at=moment,
                    updated_at=moment,
                    lead_time_s=round(measured_s, 3),
                    arm=arm,
                    draft_version=f"r{task // 200:04d}-{task // 200:06x}",
                    changed=float(generator.beta(2, 12)) if arm == WITH else None,
                    areas={
                        "lesion": drawn * float(np.exp(generator.normal(0, 0.1))),
                        "organ": float(generator.uniform(0.1, 0.3)),
                    },
                    dice=float(np.clip(skill[who] + generator.normal(0, 0.05), 0, 1))
                    if readers > 1
                    else None,
                )
            )
    return records


def _working(moment):
    """The same moment, or the next in which people work."""
    while moment.hour >= 16 or moment.weekday() >= 5:
        moment = (moment + timedelta(days=1)).replace(hour=8, minute=moment.minute)
    return moment
