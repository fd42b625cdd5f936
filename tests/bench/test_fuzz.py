"""The fuzzer: repeatable, and each kind of violation is told with the file that made it."""

import json
from collections import Counter

import pytest

from bench.canaries import Canary
from bench.fuzz import culprits, main, run_batch
from bench.mutations import identifiers, mutate, sources
from bench.planted import plant

_GIB = 2**30


@pytest.fixture(scope="module")
def listed(tmp_path_factory):
    return sources(plant(tmp_path_factory.mktemp("fuzz") / "corpus", seed=1).folder)


def imported(mutations, canaries=(), limit_bytes=8 * _GIB, burned_in="off"):
    return run_batch(mutations, canaries, limit_bytes, 2.0, 1, burned_in)


def test_mutated_files_neither_crash_nor_leak(tmp_path, capsys):
    figures = tmp_path / "figures.json"
    assert main(["--count", "60", "--seed", "7", "--json", str(figures)]) == 0, capsys.readouterr()
    written = json.loads(figures.read_text())
    assert (written["count"], written["seed"], written["violations"]) == (60, 7, [])
    assert sum(written["outcomes"].values()) >= 60
    assert written["outcomes"]["images imported"] > 10  # to refuse everything is no proof
    assert written["peak_gib"] > 0
    assert "60 files, seed 7: 0 violations" in capsys.readouterr().out


def test_a_seed_and_an_index_give_the_same_file_again(listed):
    assert mutate(listed, 1, 5) == mutate(listed, 1, 5)
    assert mutate(listed, 1, 5).content != mutate(listed, 2, 5).content


def test_every_kind_of_mutation_occurs_and_changes_its_file(listed):
    contents = dict(listed)
    mutations = [mutate(listed, 1, index) for index in range(3000)]
    kinds = Counter(mutation.kind for mutation in mutations)
    assert set(kinds) == set(
        "flip truncate splice element attribute syntax codec zip nested deflate_bomb".split()
    )
    changed = sum(m.content != contents[m.source] for m in mutations)
    assert changed > 0.95 * len(mutations)


def test_identity_of_the_sources_is_looked_for_in_what_comes_out(listed):
    needles = {needle for canary in identifiers(listed) for needle in canary.needles}
    assert b"compressedsamples^ct1" in needles and len(needles) > 100
    assert not any(needle.startswith(b"1.2.840.10008.") for needle in needles)


def test_a_leak_is_told(listed):
    """The report itself is the canary here: it certainly comes out."""
    canary = Canary("place", "where", (b'"already_there"',))
    batch = imported([mutate(listed, 1, 0)], [canary])
    assert batch.violations == ["leak: place, where"]


def test_memory_beyond_the_limit_is_told(listed):
    batch = imported([mutate(listed, 1, 0)], limit_bytes=1)
    assert [v.split(":")[0] for v in batch.violations] == ["memory"]


def test_a_command_that_ends_without_a_report_is_a_crash(listed):
    batch = imported([mutate(listed, 1, 0)], burned_in="no such mode")
    assert batch.violations == ["crash: no report"]


def test_the_file_that_violates_is_found_in_its_batch(listed):
    mutations = [mutate(listed, 1, index) for index in range(9)]

    def run(part):
        batch = imported([])
        batch.violations = ["hang: x"] * any(m.index == 6 for m in part)
        return batch

    ((found, why),) = culprits(mutations, "hang: x", run)
    assert (found.index, why) == (6, ["hang: x"])
