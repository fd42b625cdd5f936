"""How a push is cut into requests."""

from ml_backend.label_studio.pace import Pace

MIB = 2**20


def sizes(pace, lengths, at_most):
    items = [(number, b"x" * length) for number, length in enumerate(lengths)]
    return [[len(content) for _, content in part] for part in pace.parts(items, at_most)]


def test_small_items_are_bounded_by_count_and_large_ones_by_bytes():
    assert [len(part) for part in sizes(Pace(), [10] * 25, 10)] == [10, 10, 5]
    assert [len(part) for part in sizes(Pace(), [200_000] * 5, 10)] == [2, 2, 1]


def test_an_item_larger_than_a_request_goes_alone_and_nothing_is_lost():
    parts = sizes(Pace(), [10, 9 * MIB, 10], 10)
    assert parts == [[10], [9 * MIB], [10]]


def test_the_order_is_kept():
    parts = Pace().parts([(n, b"x" * 70_000) for n in range(40)], 7)
    assert [number for part in parts for number, _ in part] == list(range(40))


def test_items_are_taken_one_request_at_a_time():
    taken = []

    def items():
        for number in range(100):
            taken.append(number)
            yield number, b"x"

    next(Pace().parts(items(), 10))
    assert len(taken) <= 11


def test_slow_answers_make_requests_smaller_and_quick_ones_larger():
    slow, quick = Pace(), Pace()
    slow.took(0.1, 1000, 1)
    for _ in range(5):
        slow.took(2.0, int(slow.budget_bytes), 10)
        quick.took(0.05, int(quick.budget_bytes), 10)
    assert slow.budget_bytes < Pace().budget_bytes < quick.budget_bytes


def test_a_large_projects_fixed_cost_does_not_shrink_requests_to_nothing():
    pace = Pace()
    for _ in range(30):  # 5 s a request whatever it holds, and 1 s a MiB
        pace.took(5 + pace.budget_bytes / MIB, int(pace.budget_bytes), 10)
    assert pace.budget_bytes >= 2 * MIB


def test_a_small_last_request_does_not_shrink_the_next_push():
    pace = Pace()
    before = pace.budget_bytes
    pace.took(0.2, 100, 1)
    assert pace.budget_bytes >= before
