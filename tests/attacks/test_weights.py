"""Poisoned versions in a store: nothing in them is ever executed, and each is told as damaged.

Whoever can write into the store (a bucket shared too widely, a restored backup) could put these
there, with checksums that fit.
"""

import hashlib
import io
import json
import pickle
import struct
import sys
import types
import zipfile

import pytest
import torch
from safetensors.torch import save

from ml_backend.committees import load
from ml_backend.learning.committee import train_committee
from ml_backend.learning.training import TrainingSettings
from ml_backend.rounds.artefacts import ArtefactError, to_arrays, to_labelled, to_value
from ml_backend.settings import Settings, SettingsError
from ml_backend.store import Store, StoreError
from ml_backend.store.places import objects_at

VERSION = "r0000-abcdef"
FOLDER = f"projects/7/versions/{VERSION}"
SMALL = {"width": 4, "scales": 2, "side_px": 16, "steps": 1, "batch_size": 2, "members": 2}
DEEP = b"[" * 100_000
executed = []


class Bomb:
    """What a pickle would run when it is read."""

    def __reduce__(self):
        return executed.append, ("pickle",)


@pytest.fixture(autouse=True)
def nothing_is_executed():
    executed.clear()
    yield
    assert executed == []


@pytest.fixture
def objects(tmp_path):
    return objects_at(tmp_path / "store")


@pytest.fixture
def store(tmp_path):
    return Store(tmp_path / "store", 7)


def put(objects, members, metadata=b"{}", **changes):
    """A version by hand, its checksums right: whoever can write the files can write these too."""
    files = {}
    contents = {"version.json": metadata}
    contents |= {f"member-{n}.safetensors": content for n, content in enumerate(members)}
    for name, content in contents.items():
        digest = hashlib.sha256(content).hexdigest()
        stem, _, suffix = name.partition(".")
        objects.put(f"{FOLDER}/{stem}-{digest[:12]}.{suffix}", content)
        files[name] = {"sha256": digest, "bytes": len(content)}
    manifest = json.dumps({"files": files | changes}).encode()
    objects.put(f"{FOLDER}/manifest.json", manifest)


def crafted(header, data=b"", length=None):
    """A safetensors file with any header (its value, or its bytes) and any length said of it."""
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(text) if length is None else length) + text + data


def tensor(kind="F32", shape=(1,), offsets=(0, 4)):
    return {"dtype": kind, "shape": list(shape), "data_offsets": list(offsets)}


def zipped_pickle():
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as packed:
        packed.writestr("archive/data.pkl", pickle.dumps(Bomb()))
        packed.writestr("archive/version", "3")
    return stream.getvalue()


def saved_by_torch():
    stream = io.BytesIO()
    torch.save({"weight": Bomb()}, stream)
    return stream.getvalue()


POISONED = {
    "a pickle": pickle.dumps(Bomb()),
    "an old pickle": pickle.dumps(Bomb(), 0),
    "a zip of a pickle": zipped_pickle(),
    "what torch.save makes": saved_by_torch(),
    "nothing": b"",
    "a header of 2**63 bytes": crafted({}, length=2**63),
    "a header longer than the file": crafted({}, length=10_000),
    "a header that is no text": crafted(b"\xff\xfe{}"),
    "a header that is a list": crafted([]),
    "a header nested without end": crafted(DEEP),
    "notes nested without end": crafted(b'{"__metadata__":' + b'{"a":' * 100_000),
    "a negative size": crafted({"w": tensor(shape=[-1])}, b"0000"),
    "half a size": crafted({"w": tensor(shape=[1.5])}, b"0000"),
    "a size of 2**80": crafted({"w": tensor(shape=[2**40, 2**40])}, b"0000"),
    "a size of 2**62 and no bytes": crafted({"w": tensor(shape=[2**62], offsets=[0, 0])}),
    "bytes beyond the end": crafted({"w": tensor(shape=[100], offsets=[0, 400])}, b"0000"),
    "an end before its start": crafted({"w": tensor(offsets=[4, 0])}, b"0000"),
    "offsets of 2**70": crafted({"w": tensor(offsets=[2**70, 2**70 + 4])}, b"0000"),
    "bytes that two tensors share": crafted({"a": tensor(), "b": tensor()}, b"0000"),
    "bytes of no tensor": crafted({"a": tensor()}, b"00001111"),
    "an unknown type": crafted({"w": tensor("Q99")}, b"0000"),
    "a type that torch has not": crafted({"w": tensor("F4", [2], [0, 1])}, b"0"),
    "another type that torch has not": crafted({"w": tensor("F6_E2M3", [4], [0, 3])}, b"000"),
    "NaN": save({"w": torch.tensor([1.0, float("nan")])}),
    "infinity": save({"w": torch.tensor([1.0, float("-inf")], dtype=torch.float16)}),
}


@pytest.mark.parametrize("content", POISONED.values(), ids=POISONED)
def test_a_poisoned_weight_file_is_damage_and_runs_nothing(store, objects, content):
    put(objects, [save({"w": torch.ones(1)}), content])
    with pytest.raises(StoreError, match=rf"{VERSION} has damaged weights \(member-1.*roll back"):
        store.states(VERSION)


@pytest.mark.parametrize("content", POISONED.values(), ids=POISONED)
def test_so_it_is_in_a_version_of_an_earlier_release_that_has_no_checksums(store, objects, content):
    objects.put(f"{FOLDER}/metadata.json", b"{}")
    objects.put(f"{FOLDER}/member-0.safetensors", content)
    with pytest.raises(StoreError, match="damaged weights"):
        store.states(VERSION)


@pytest.mark.parametrize(
    "metadata",
    [DEEP, b'{"a":' * 100_000, b'{"a": ' + b"9" * 10_000 + b"}", b"[]", b"\xff", pickle.dumps([])],
    ids=["deep list", "deep object", "number of 10,000 digits", "list", "no text", "pickle"],
)
def test_metadata_that_is_none_is_damage(store, objects, metadata):
    put(objects, [], metadata)
    with pytest.raises(StoreError, match="damaged metadata"):
        store.metadata(VERSION)


@pytest.mark.parametrize(
    "manifest",
    [
        DEEP,
        b"[]",
        b'{"files": []}',
        b'{"files": {"member-0.safetensors": 7}}',
        b'{"files": {"member-0.safetensors": {"sha256": "../../../../etc/passwd"}}}',
        b'{"files": {"member-0.safetensors": {"sha256": 1e999}}}',
        b'{"files": {"../../member-0.safetensors": {"sha256": ""}, "version.json": {}}}',
    ],
)
def test_a_manifest_that_is_none_is_damage(store, objects, manifest):
    objects.put(f"{FOLDER}/manifest.json", manifest)
    for use in (store.metadata, store.states):
        with pytest.raises(StoreError, match=f"{VERSION} has damaged"):
            use(VERSION)


def test_a_weight_file_with_another_checksum_is_not_even_parsed(store, objects):
    put(objects, [save({"w": torch.ones(1)})])
    (key,) = [key for key in objects.keys(FOLDER) if "member" in key]
    objects.put(key, save({"w": torch.zeros(1)}))
    with pytest.raises(StoreError, match="damaged weights"):
        store.states(VERSION)


def test_files_that_everything_else_of_a_project_is_kept_in_may_be_nested_without_end(
    store, objects
):
    put(objects, [])
    for name in ("division.json", "settings.json", "figures/now.json", f"notes/{VERSION}-a.json"):
        objects.put(f"projects/7/{name}", DEEP)
    for use in (store.sides, store.overrides):
        with pytest.raises(StoreError, match="is damaged"):
            use()
    assert store.figures("now") == {}
    assert store.noted(VERSION, "a") == {}


@pytest.mark.parametrize("of", ["file", "folder", "pointer"])
def test_a_link_out_of_the_store_is_not_followed(store, objects, tmp_path, of):
    secret = tmp_path / "secret"
    secret.mkdir()
    put(objects, [save({"w": torch.ones(1)})], b"{}")
    folder = tmp_path / "store" / FOLDER
    if of == "file":
        (secret / "other").write_bytes(save({"w": torch.zeros(1)}))
        (path,) = folder.glob("member-0*")
        path.unlink()
        path.symlink_to(secret / "other")
        reading = store.states
    elif of == "folder":
        folder.rename(secret / "moved")
        folder.symlink_to(secret / "moved")
        reading = store.metadata
    else:
        (secret / "other").write_text(VERSION)
        (tmp_path / "store/projects/7/current").symlink_to(secret / "other")
        reading = lambda _: store.current()  # noqa: E731
    with pytest.raises(StoreError, match="a link that leads out of the store: remove it"):
        reading(VERSION)
    before = sorted(secret.iterdir())
    if of == "folder":
        with pytest.raises(StoreError, match="leads out"):
            store.publish(VERSION, [], {"labels": []})
        with pytest.raises(StoreError, match="leads out"):
            store._versions.remove(VERSION)
    assert sorted(secret.iterdir()) == before


def test_a_store_that_is_itself_behind_a_link_is_as_good_as_any(tmp_path):
    (tmp_path / "disk").mkdir()
    (tmp_path / "store").symlink_to(tmp_path / "disk")
    store = Store(tmp_path / "store", 7)
    store.publish(VERSION, [], {"labels": []})
    assert store.versions() == [VERSION]
    assert store.metadata(VERSION) == {"labels": []}


# From the store into a committee


@pytest.fixture(scope="module")
def committee():
    """States of a small committee, and its version's metadata."""
    settings = TrainingSettings(device="cpu", network="fcn", **SMALL)
    images = [torch.full((16, 16), n * 50, dtype=torch.uint8).numpy() for n in range(4)]
    maps = [(image > 60).astype("uint8") for image in images]
    trained = train_committee(images, maps, ("A",), settings, 0)
    return trained.state(), {"labels": ["A"], "training": {"network": "fcn", **SMALL}}


def without_one(state):
    return dict(list(state.items())[1:])


def with_one_more(state):
    return {**state, "extra": torch.ones(1)}


def of_another_shape(state):
    return {name: tensor.flatten() for name, tensor in state.items()}


@pytest.mark.parametrize(
    "change", [without_one, with_one_more, of_another_shape, lambda state: {}], ids=str
)
def test_weights_that_do_not_fit_their_network_are_damage(store, committee, change):
    states, metadata = committee
    store.publish(VERSION, [change(states[0]), *states[1:]], metadata)
    with pytest.raises(StoreError, match=f"{VERSION} .*roll back to another"):
        load(store, VERSION, ("A",), "cpu")


@pytest.mark.parametrize(
    "training",
    [
        None,
        [],
        {"width": "4"},
        {"width": -1},
        {"width": 1e400},
        {"scales": 10**6},
        {"width": 10**9},
        {"network": 7},
        {"network": "no such"},
        {"network": "monai:os"},
        {"seed": "x"},
    ],
    ids=str,
)
def test_metadata_that_no_training_had_is_damage(store, committee, training):
    states, metadata = committee
    own = {**metadata["training"], **training} if isinstance(training, dict) else training
    store.publish(VERSION, states, {**metadata, "training": own})
    with pytest.raises(StoreError, match=f"{VERSION} .*roll back to another"):
        load(store, VERSION, ("A",), "cpu")


@pytest.mark.parametrize("metadata", [{}, {"labels": 7}, {"labels": ["A"]}], ids=str)
def test_metadata_without_its_parts_is_damage(store, committee, metadata):
    store.publish(VERSION, committee[0], metadata)
    with pytest.raises(StoreError, match=f"{VERSION} .*(roll back to another|other labels)"):
        load(store, VERSION, ("A",), "cpu")


@pytest.fixture
def planted(monkeypatch):
    """A module on the path whose import, and whose use, is noticed."""

    def build(*_):
        executed.append("built")

    module = types.ModuleType("planted_module")
    module.Network = build
    monkeypatch.setitem(sys.modules, "planted_module", module)


def test_a_version_cannot_name_code_to_run(store, committee, planted):
    """A network of one's own is package.module:Class; only the deployment may name one."""
    states, metadata = committee
    for name in ("planted_module:Network", "subprocess:Popen", "importlib:import_module"):
        store.publish(VERSION, states, {**metadata, "training": {"network": name, **SMALL}})
        with pytest.raises(StoreError, match="QUORUM_NETWORK"):
            load(store, VERSION, ("A",), "cpu")
        store._versions.remove(VERSION)


def test_nor_can_a_project_s_own_settings(planted):
    with pytest.raises(SettingsError, match="QUORUM_NETWORK"):
        Settings().of_project({"network": "planted_module:Network"})
    chosen = Settings(network="planted_module:Network")
    assert chosen.of_project({"network": "planted_module:Network"}).network == chosen.network
    assert Settings().of_project({"network": "monai:UNet"}).network == "monai:UNet"


# From one step of a round to the next


@pytest.mark.parametrize("content", POISONED.values(), ids=POISONED)
def test_a_poisoned_artefact_of_a_round_is_made_again(content):
    with pytest.raises(ArtefactError):
        arrays = to_arrays(content)
        # Any numbers are arrays; what they have to be called is another matter.
        to_labelled(content) if arrays else None


def test_an_artefact_nested_without_end_is_made_again():
    with pytest.raises(ArtefactError):
        to_value(DEEP)
