"""What a round's labels say about those who drew them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from ..gathering import LabelledSet
from ..readers import adjudicate, suspects, table, weights
from ..settings import Settings


def crowd(settings: Settings, sets: Sequence[LabelledSet]) -> dict[str, Any]:
    """How far annotators agree, who stands out, and which slices a reviewer should see, as JSON."""
    read = [of_slice for each in sets for of_slice in each.readings.values()]
    suspected = suspects(read)
    disagreement = {task_id: value for each in sets for task_id, value in each.disagreement.items()}
    found_out = {
        "readers": [asdict(reader) for reader in table(read).values()],
        "suspects": [asdict(suspect) for suspect in suspected],
        "weights": {
            str(who): weight for who, weight in weights(suspected, settings.suspect_weight).items()
        },
        "disagreement": {str(task_id): value for task_id, value in disagreement.items()},
        "adjudicate": adjudicate(disagreement, settings.adjudicate_above),
    }
    return dict(_without_nan(found_out))


def _without_nan(value: Any) -> Any:
    """JSON has no NaN: what is not known is null."""
    if isinstance(value, dict):
        return {key: _without_nan(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_without_nan(each) for each in value]
    return None if isinstance(value, float) and value != value else value
