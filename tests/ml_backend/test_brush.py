"""Brush code and bitmask PNGs: exact, as Label Studio reads them, and bounded whatever comes."""

import base64
import io
import time
import tracemalloc

import numpy as np
import pytest
from label_studio_sdk.converter import brush
from PIL import Image

from ml_backend.brush import MaskError, decode_bitmask, decode_rle, encode_rle


def masks_of_all_kinds():
    generator = np.random.default_rng(0)
    y, x = np.mgrid[:61, :83]
    yield "disc", (y - 30) ** 2 + (x - 40) ** 2 < 400
    yield "noise", generator.random((61, 83)) < 0.5
    yield "empty", np.zeros((61, 83), bool)
    yield "full", np.ones((61, 83), bool)
    yield "one pixel", (y == 60) & (x == 82)
    yield "a single row", generator.random((1, 7)) < 0.5
    yield "a run longer than 2**16", np.ones((300, 300), bool)


@pytest.mark.parametrize(("name", "mask"), list(masks_of_all_kinds()))
def test_a_mask_survives_the_round_trip_exactly(name, mask):
    assert np.array_equal(decode_rle(encode_rle(mask), *mask.shape), mask)


@pytest.mark.parametrize(("name", "mask"), list(masks_of_all_kinds()))
def test_the_code_is_the_sdk_s_and_fully_opaque(name, mask):
    encoded = encode_rle(mask)
    assert encoded == brush.mask2rle(mask.astype(np.uint8) * 255)
    alpha = brush.decode_rle(encoded).reshape(*mask.shape, 4)[:, :, 3]
    assert set(np.unique(alpha)) <= {0, 255}


@pytest.mark.parametrize("seed", range(4))
def test_anti_aliased_strokes_are_read_as_the_sdk_reads_them(seed):
    generator = np.random.default_rng(seed)
    rgba = generator.integers(0, 256, (17, 23, 4)) * (generator.random((17, 23, 1)) < 0.4)
    encoded = brush.encode_rle(rgba.ravel())
    expected = brush.decode_rle(encoded).reshape(17, 23, 4)[:, :, 3] > 0
    assert expected.any() and not expected.all()
    assert np.array_equal(decode_rle(encoded, 17, 23), expected)


def in_blocks(values, sizes):
    """What the editor's own encoder (rle-pack) writes and the package's never does: literals."""
    bits = f"{len(values):032b}{7:05b}{2:04b}{3:04b}{7:04b}{15:04b}"
    at = 0
    for size in sizes:
        block = values[at : at + size]
        bits += f"0{3:02b}{len(block) - 1:016b}" + "".join(f"{v:08b}" for v in block)
        at += size
    bits += "0" * (-len(bits) % 8)
    return [int(bits[i : i + 8], 2) for i in range(0, len(bits), 8)]


def test_blocks_of_literal_values_are_read_as_the_editor_writes_them():
    values = np.random.default_rng(5).integers(0, 2, 20 * 4 * 13) * 200
    encoded = in_blocks(values.tolist(), [1, 2, 900, 1, 136])
    assert np.array_equal(brush.decode_rle(encoded), values)
    assert np.array_equal(decode_rle(encoded, 20, 13), values.reshape(20, 13, 4)[:, :, 3] > 0)


@pytest.mark.parametrize("shape", [(4,), (2, 2, 2), (0, 5)])
def test_a_mask_of_another_shape_is_refused(shape):
    with pytest.raises(MaskError, match="H, W"):
        encode_rle(np.zeros(shape, bool))


def test_a_code_of_another_size_or_a_damaged_one_is_refused():
    encoded = encode_rle(np.eye(16, dtype=bool))
    with pytest.raises(MaskError, match="does not belong"):
        decode_rle(encoded, 16, 17)
    with pytest.raises(MaskError, match="damaged"):
        decode_rle(encoded[:12], 16, 16)
    with pytest.raises(MaskError, match="too short"):
        decode_rle([1, 2], 16, 16)


@pytest.mark.parametrize(
    "code",
    [None, 10**10, "rle", {"0": 1}, [300] * 20, [-1] * 20, ["a"] * 20, [0.5] * 20, [[1]] * 20],
    ids=str,
)
def test_what_is_no_list_of_bytes_is_refused(code):
    with pytest.raises(MaskError):
        decode_rle(code, 16, 16)


def test_a_code_that_claims_gigapixels_takes_no_memory():
    claims = (2**32 - 1).to_bytes(4, "big") + encode_header() + b"\xff" * 400_000
    tracemalloc.start()
    with pytest.raises(MaskError):
        decode_rle(list(claims), 512, 512)
    with pytest.raises(MaskError):  # right about its size, and far longer than that size can be
        decode_rle([0, 16, 0, 0, *encode_header(), *([0] * 5_000_000)], 512, 512)
    assert tracemalloc.get_traced_memory()[1] < 100 * 2**20
    tracemalloc.stop()


def encode_header():
    return bytes(encode_rle(np.ones((2, 2), bool))[4:7])


def test_whatever_bytes_come_there_is_a_mask_or_a_complaint_and_soon():
    generator = np.random.default_rng(7)
    good = [encode_rle(generator.random((24, 31)) < p) for p in (0.01, 0.5)]
    began, complaints = time.monotonic(), 0
    for n in range(3000):
        if n % 3 == 0:  # bytes at random behind a size that is right
            size = int(generator.integers(0, 400))
            code = [0, 0, 11, 160, *generator.integers(0, 256, size).tolist()]
        else:  # a good code with some of its bytes changed, or cut short
            code = list(good[n % 2])
            for at in generator.integers(4, len(code), int(generator.integers(1, 6))):
                code[at] = int(generator.integers(0, 256))
            code = code[: int(generator.integers(8, len(code) + 1))]
        try:
            assert decode_rle(code, 24, 31).shape == (24, 31)
        except MaskError:
            complaints += 1
    assert 500 < complaints < 3000
    assert time.monotonic() - began < 60  # a hang, not a slow machine


def data_url(image, format="PNG", media="image/png"):
    stream = io.BytesIO()
    image.save(stream, format)
    return f"data:{media};base64," + base64.b64encode(stream.getvalue()).decode()


def bitmask(mask):
    """As the editor makes them: black where drawn, transparent elsewhere."""
    rgba = np.zeros((*mask.shape, 4), np.uint8)
    rgba[..., 3] = mask * 255
    return data_url(Image.fromarray(rgba))


def test_a_bitmask_is_read_by_its_transparency():
    mask = np.random.default_rng(2).random((20, 30)) < 0.3
    assert np.array_equal(decode_bitmask(bitmask(mask), 20, 30), mask)


def test_a_bitmask_that_is_none_is_refused_with_the_reason():
    mask = np.ones((20, 30), bool)
    for url, words in (
        (None, "no PNG"),
        ("http://elsewhere.example/mask.png", "no PNG"),
        (data_url(Image.new("RGBA", (30, 20)), media="image/jpeg"), "no PNG"),
        ("data:image/png;base64,%%%", "damaged"),
        ("data:image/png;base64,AAAA", "damaged"),
        (bitmask(mask)[:-60], "damaged"),
        (bitmask(mask.T), "30 x 20"),
        (data_url(Image.new("L", (30, 20), 255)), "transparency"),
        (data_url(Image.new("RGBA", (30, 20)), format="TIFF"), "no PNG|damaged"),
    ):
        with pytest.raises(MaskError, match=words):
            decode_bitmask(url, 20, 30)


def test_a_png_that_claims_gigapixels_is_refused_before_it_is_decoded():
    content = bytearray(base64.b64decode(bitmask(np.ones((20, 30), bool)).partition(",")[2]))
    content[16:24] = (60_000).to_bytes(4, "big") * 2
    url = "data:image/png;base64," + base64.b64encode(bytes(content)).decode()
    with pytest.raises(MaskError):
        decode_bitmask(url, 20, 30)


def test_whatever_a_png_holds_there_is_a_mask_or_a_complaint():
    generator = np.random.default_rng(8)
    good = base64.b64decode(bitmask(generator.random((20, 30)) < 0.5).partition(",")[2])
    complaints = 0
    for _ in range(500):
        content = bytearray(good)
        for at in generator.integers(0, len(good), int(generator.integers(1, 5))):
            content[at] = int(generator.integers(0, 256))
        try:
            url = "data:image/png;base64," + base64.b64encode(bytes(content)).decode()
            assert decode_bitmask(url, 20, 30).shape == (20, 30)
        except MaskError:
            complaints += 1
    assert complaints > 300
