"""The benchmark still runs."""

from bench.learning_curve import curve
from ml_backend.learning.training import TrainingSettings

QUICK = TrainingSettings(
    members=2, width=4, scales=2, side_px=32, steps=3, batch_size=2, device="cpu"
)


def test_a_curve_spends_k_labels_a_round():
    points = list(curve("two-stage", 0, rounds=2, k=4, K=12, settings=QUICK))
    assert [point.labels for point in points] == [4, 8]
    assert all(0 <= point.mean_iou <= 1 for point in points)
