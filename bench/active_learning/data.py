"""Labelled sets read from folders: images with masks beside them, or NIfTI volumes.

Image sets: ``DIR/{train,test}/{images,masks}`` (that division is kept) or ``DIR/{images,masks}``
(divided by a keyed hash). Volumes: ``DIR/{images,labels}`` or ``DIR/{imagesTr,labelsTr}`` with the
same names in both; a volume is a patient. A mask's values are class numbers, 0 the background.
"""

from __future__ import annotations

import hashlib
import io
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image, UnidentifiedImageError

from ml_backend.learning.held_out import Unit, divide

Grey = npt.NDArray[np.uint8]

_IMAGE_SUFFIXES = (".png", ".jpg", ".jpeg")
_VOLUME_SUFFIXES = (".nii.gz", ".nii")
_IMAGE_FOLDERS = ("images", "imagesTr")
_MASK_FOLDERS = ("masks", "labels", "labelsTr")
_SPLIT_KEY = b"quorum benchmark"
# Grey values beyond these percentiles of a volume are cut: one bright voxel must not darken it.
_WINDOW_PERCENT = (0.5, 99.5)


class DataError(ValueError):
    """A folder that is no labelled set; the message says what is wrong with which file."""


@dataclass(frozen=True)
class Slice:
    """One labelled slice."""

    name: str
    content: bytes  # PNG or JPEG, as the product would be given it
    label_map: Grey  # (H, W), 0 background, n the n-th class
    test: bool
    patient: str | None = None  # None: the slice is a patient of its own
    position_mm: float | None = None


@dataclass(frozen=True)
class LabelledData:
    """A labelled set: its slices in a fixed order, and the names of its classes."""

    name: str
    class_names: tuple[str, ...]
    slices: list[Slice]

    @property
    def pool(self) -> list[int]:
        """Indices of the slices that can be labelled and trained on."""
        return [index for index, piece in enumerate(self.slices) if not piece.test]

    @property
    def test(self) -> list[int]:
        """Indices of the held-out slices."""
        return [index for index, piece in enumerate(self.slices) if piece.test]

    @property
    def longest_side_px(self) -> int:
        """The largest height or width."""
        return max(max(piece.label_map.shape) for piece in self.slices)

    @property
    def fingerprint(self) -> str:
        """Hex digits that change with any pixel, class name or side of the division."""
        digest = hashlib.sha256(repr(self.class_names).encode())
        for piece in self.slices:
            digest.update(f"{piece.name} {piece.test} {piece.patient}".encode())
            digest.update(piece.content)
            digest.update(piece.label_map.tobytes())
        return digest.hexdigest()[:12]


def load(
    folder: Path,
    *,
    classes: Sequence[str] = (),
    volumes: int = 24,
    every: int = 4,
    test_fraction: float = 0.25,
) -> LabelledData:
    """Read a labelled set.

    `classes` names the classes but background, in the order of their numbers. Of NIfTI sets
    `volumes` are read at most, and of each every `every`-th axial slice; sets without a division of
    their own hold `test_fraction` of their patients out.
    Raises DataError naming what is wrong.
    """
    if not folder.is_dir():
        raise DataError(f"there is no folder {folder}")
    parts = {side: folder / side for side in ("train", "test") if (folder / side).is_dir()}
    if len(parts) == 1:
        raise DataError(f"{folder} has one of train/ and test/: both are needed, or neither")
    if parts:
        read = [*_images(parts["train"], False, "train/"), *_images(parts["test"], True, "test/")]
    else:
        images, _ = _folders(folder)
        if _files(images, _VOLUME_SUFFIXES):
            read = _divided(_volumes(folder, volumes, every), test_fraction)
        else:
            read = _divided(_images(folder, False, ""), test_fraction)
    return _checked(folder, read, classes)


def _checked(folder: Path, read: Sequence[Slice], classes: Sequence[str]) -> LabelledData:
    values = sorted({int(v) for piece in read for v in np.unique(piece.label_map)})
    slices = list(read)
    if values in ([0, 255], [255]):  # how most tools save a mask of one class
        slices = [_with_mask(piece, (piece.label_map > 0).astype(np.uint8)) for piece in slices]
        values = [0, 1]
    highest = max(values, default=0)
    if highest < 1:
        raise DataError(f"{folder}: every mask is empty, there is nothing to learn")
    if highest > 20:
        raise DataError(
            f"{folder}: masks hold the values {values[:6]}…: they must be class numbers 0, 1, 2, … "
            "(or 0 and 255 for a single class)"
        )
    names = tuple(classes) or tuple(f"class {n}" for n in range(1, highest + 1))
    if len(names) != highest:
        raise DataError(f"{folder}: masks hold {highest} classes, but {len(names)} are named")
    data = LabelledData(folder.resolve().name, names, slices)
    if len(data.pool) < 4 or not data.test:
        raise DataError(
            f"{folder}: {len(data.pool)} slices to label and {len(data.test)} to test with: "
            "at least 4 and 1 are needed"
        )
    if not any(slices[index].label_map.any() for index in data.test):
        raise DataError(f"{folder}: no slice to test with shows a class, so nothing is measured")
    return data


def _with_mask(piece: Slice, label_map: Grey) -> Slice:
    return Slice(piece.name, piece.content, label_map, piece.test, piece.patient, piece.position_mm)


def _divided(slices: Iterable[Slice], fraction: float) -> list[Slice]:
    """Whole patients held out by the product's own rule."""
    every = list(slices)
    units = [Unit(piece.name, piece.patient) for piece in every]
    if len({unit.name for unit in units}) < 2:
        raise DataError("a set of a single patient cannot be divided: bring at least two")
    out = divide(units, _SPLIT_KEY, fraction, slab_mm=10.0).held_out
    return [
        Slice(p.name, p.content, p.label_map, bool(test), p.patient, p.position_mm)
        for p, test in zip(every, out, strict=True)
    ]


def _folders(folder: Path) -> tuple[Path, Path]:
    images = [folder / name for name in _IMAGE_FOLDERS if (folder / name).is_dir()]
    masks = [folder / name for name in _MASK_FOLDERS if (folder / name).is_dir()]
    if not images or not masks:
        raise DataError(
            f"{folder} lacks {'images/' if not images else 'masks/ or labels/'}: expected "
            "images/ and masks/ (PNG, JPEG), the same under train/ and test/, or images/ and "
            "labels/ with NIfTI volumes"
        )
    return images[0], masks[0]


def _files(folder: Path, suffixes: tuple[str, ...]) -> dict[str, Path]:
    """Files by their name without the suffix, numbers in their order."""
    found = {}
    for path in folder.iterdir():
        suffix = next((s for s in suffixes if path.name.lower().endswith(s)), None)
        if suffix and not path.name.startswith("."):
            found[path.name[: -len(suffix)]] = path
    return dict(sorted(found.items(), key=lambda item: (item[0].zfill(12), item[0])))


def _pairs(folder: Path, suffixes: tuple[str, ...], kind: str) -> list[tuple[str, Path, Path]]:
    images, masks = _folders(folder)
    image_files, mask_files = _files(images, suffixes), _files(masks, suffixes)
    if not image_files:
        raise DataError(f"{images} holds no {kind}")
    for name, path in image_files.items():
        if name not in mask_files:
            raise DataError(f"{path} has no mask: expected {masks / name}{suffixes[0]}")
    return [(name, path, mask_files[name]) for name, path in image_files.items()]


def _images(folder: Path, test: bool, prefix: str) -> list[Slice]:
    slices = []
    for name, path, mask_path in _pairs(folder, _IMAGE_SUFFIXES, "PNG or JPEG"):
        try:
            with Image.open(path) as image:
                size = image.size
            with Image.open(mask_path) as mask:
                mode, values = mask.mode, np.asarray(mask)
        except (UnidentifiedImageError, OSError) as error:
            raise DataError(f"{path} or its mask is damaged: {error}") from None
        if values.ndim != 2:
            raise DataError(
                f"{mask_path} is a colour picture ({mode}): save masks as indexed or grey PNG "
                "whose values are class numbers"
            )
        if values.shape != size[::-1]:
            raise DataError(f"{mask_path} is {values.shape}, but its image {size[::-1]}")
        slices.append(Slice(prefix + name, path.read_bytes(), values.astype(np.uint8), test))
    return slices


def _volumes(folder: Path, limit: int, every: int) -> Iterator[Slice]:
    """Axial slices of NIfTI volumes as PNG, each volume a patient; needs nibabel."""
    import nibabel
    from nibabel.filebasedimages import ImageFileError

    pairs = _pairs(folder, _VOLUME_SUFFIXES, "NIfTI volume")
    # By hash, not by name: neighbours in number may come from one scanner or one day.
    pairs.sort(key=lambda pair: hashlib.sha256(_SPLIT_KEY + pair[0].encode()).digest())
    for name, path, mask_path in sorted(pairs[:limit]):
        try:
            volume = nibabel.as_closest_canonical(nibabel.load(path))
            labels = nibabel.as_closest_canonical(nibabel.load(mask_path))
            voxels, classes = volume.get_fdata(dtype=np.float32), np.asarray(labels.dataobj)
        except (OSError, EOFError, ValueError, ImageFileError) as error:
            raise DataError(f"{path} or its labels cannot be read: {error}") from None
        if voxels.ndim != 3:
            raise DataError(f"{path} has {voxels.ndim} axes: a volume of three is expected")
        if voxels.shape != classes.shape:
            raise DataError(f"{mask_path} is {classes.shape}, but its volume {voxels.shape}")
        known = voxels[np.isfinite(voxels)]
        if not known.size:
            raise DataError(f"{path} holds no voxel that is a number: export it again")
        low, high = np.percentile(known, _WINDOW_PERCENT)
        voxels = np.nan_to_num(voxels, nan=low, posinf=high, neginf=low)
        grey = np.clip((voxels - low) / max(float(high - low), 1e-6), 0, 1) * 255
        spacing_mm = float(volume.header.get_zooms()[2])
        for z in range(every // 2, voxels.shape[2], every):
            # (right, anterior) to rows and columns as radiologists look at it.
            image = np.rot90(grey[:, :, z].round().astype(np.uint8))
            mask = np.rot90(classes[:, :, z].round().astype(np.uint8))
            yield Slice(
                f"{name}/{z:03d}",
                _png(image),
                np.ascontiguousarray(mask),
                False,
                name,
                z * spacing_mm,
            )


def _png(image: Grey) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(image)).save(buffer, format="PNG")
    return buffer.getvalue()
