"""Brush code and bitmask PNGs: exact, as Label Studio reads them, and bounded whatever comes."""

import base64
import contextlib
import io
import time
import tracemalloc

import numpy as np
import pytest
from label_studio_sdk.converter import brush
from PIL import Image

from ml_backend.masks.brush import MaskError, decode_bitmask, decode_rle, encode_bitmask, encode_rle


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


def small_masks(seed, count, side=40):
    """Masks of all densities and of sides from 1 on, some of them lines."""
    generator = np.random.default_rng(seed)
    for number in range(count):
        height, width = generator.integers(1, side, 2)
        if number % 4 == 1:
            height = 1
        elif number % 4 == 2:
            width = 1
        density = generator.choice([0, 0.01, 0.1, 0.5, 0.9, 1])
        mask = generator.random((height, width)) < density
        if number % 3 == 0:  # runs of all lengths
            mask = np.repeat(mask, generator.integers(1, 2 * side), axis=1)
        yield mask


@pytest.mark.parametrize("seed", range(5))
def test_thousands_of_masks_are_written_and_read_as_the_sdk_does(seed):
    for mask in small_masks(seed, 500, side=24):
        encoded = encode_rle(mask)
        assert encoded == brush.mask2rle(mask.astype(np.uint8) * 255), mask.shape
        assert np.array_equal(decode_rle(encoded, *mask.shape), mask), mask.shape


def patterns(side):
    y, x = np.mgrid[:side, :side]
    yield "stripes", x % 2 == 0
    yield "checkerboard", (x + y) % 2 == 0
    yield "blobs", np.sin(x / 7.0) * np.cos(y / 5.0) + np.sin(x * y / 90.0) / 2 > 0.3
    yield "long and short runs", (y * side + x) % (2**14 + 3) < 2**14 + 1
    yield "noise below emptiness", (np.random.default_rng(1).random((side, side)) < 0.5) & (y > 70)


@pytest.mark.parametrize(("name", "mask"), list(patterns(250)))
def test_patterns_that_fill_more_than_one_block_are_written_as_the_sdk_does(name, mask):
    encoded = encode_rle(mask)
    assert encoded == brush.mask2rle(mask.astype(np.uint8) * 255)
    assert np.array_equal(decode_rle(encoded, *mask.shape), mask)


@pytest.mark.parametrize("pixels", [1, 2, 3, 4, 5, 64, 65, 2**14, 2**14 + 1, 2**15, 2**15 + 1])
def test_a_run_of_each_length_at_which_the_code_changes_is_the_sdk_s(pixels):
    for around in (0, 3, 90):  # runs before and behind: with 90, too many to be written singly
        dots = np.arange(around) % 2 == 0
        mask = np.concatenate((dots, [True] * 5, np.zeros(pixels, bool), [True], dots))[None]
        encoded = encode_rle(mask)
        assert encoded == brush.mask2rle(mask.astype(np.uint8) * 255)
        assert np.array_equal(decode_rle(encoded, *mask.shape), mask)


def test_megapixels_of_noise_survive_the_round_trip():
    mask = np.random.default_rng(4).random((1500, 1401)) < 0.5
    assert np.array_equal(decode_rle(encode_rle(mask), *mask.shape), mask)


def test_a_mask_that_is_a_view_of_a_larger_one_is_written_by_what_it_shows():
    whole = np.random.default_rng(6).random((90, 120)) < 0.5
    for mask in (whole[::2, 5:77:3], whole.T, whole[::-1]):
        assert encode_rle(mask) == brush.mask2rle(mask.astype(np.uint8) * 255)


def as_the_editor(values, word=8, sizes=(3, 4, 8, 16)):
    """@thi.ng/rle-pack's encodeBinary, which the editor calls: repeats, and literals between."""
    fields = [(len(values), 32), (word - 1, 5), *((size - 1, 4) for size in sizes)]
    limits = [1 << size for size in sizes]

    def head(repeated, length):
        kind = next((k for k in range(3) if length < limits[k]), 3)
        fields.extend([(repeated, 1), (kind, 2), (length, sizes[kind])])

    def write_chunk():
        head(0, len(chunk) - 1)
        fields.extend((value, word) for value in chunk)
        chunk.clear()

    def write_repeat(value, length):
        head(1, length)
        fields.append((value, word))

    chunk, value, repeats, tail = [], values[0], 0, True
    for number, other in enumerate(values[1:], start=1):
        if other != value:
            if repeats:
                write_repeat(value, repeats)
                repeats = 0
            else:
                chunk.append(value)
                if len(chunk) == limits[3]:
                    write_chunk()
            value = other
        else:
            if chunk:
                write_chunk()
            repeats += 1
            if repeats == limits[3]:
                write_repeat(value, repeats - 1)
                repeats, tail = 0, number < len(values) - 1
    if chunk:
        chunk.append(value)
        write_chunk()
    elif tail:
        write_repeat(value, repeats)
    bits = "".join(f"{number:0{size}b}" for number, size in fields)
    bits += "0" * (-len(bits) % 8)
    return [int(bits[i : i + 8], 2) for i in range(0, len(bits), 8)]


def test_the_editor_s_encoder_is_told_rightly_here():
    # What encode() of @thi.ng/rle-pack 3.2.12 says of these.
    assert as_the_editor([0, 0, 0, 0, 9, 9, 9, 200, 7, 7, 7, 7]) == [
        0,
        0,
        0,
        12,
        57,
        27,
        252,
        96,
        17,
        4,
        129,
        145,
        24,
        56,
    ]
    assert as_the_editor([1, 1, 1, 5, 2, 3, 3, 0], 3, [1, 2, 5, 9]) == [
        0,
        0,
        0,
        8,
        16,
        10,
        69,
        136,
        213,
        46,
        0,
    ]


@pytest.mark.parametrize("seed", range(4))
def test_thousands_of_codes_of_the_editor_are_read_as_the_sdk_reads_them(seed):
    generator = np.random.default_rng([9, seed])
    for mask in small_masks(seed + 100, 250, side=16):
        word, sizes = 8, (3, 4, 8, 16)
        if seed % 2:  # any form that the package can be asked for
            word = int(generator.integers(1, 9))
            sizes = tuple(np.sort(generator.integers(1, 17, 4)).tolist())
        shape = (*mask.shape, int(generator.choice([1, 4])))  # grey, or each channel its own
        rgba = np.broadcast_to(generator.integers(0, 1 << word, shape), (*mask.shape, 4))
        values = (rgba * mask[:, :, None]).ravel()
        encoded = as_the_editor(values.tolist(), word, sizes)
        assert np.array_equal(brush.decode_rle(encoded), values)
        inside = values.reshape(rgba.shape)[:, :, 3] > 0
        assert np.array_equal(decode_rle(encoded, *mask.shape), inside), (mask.shape, word, sizes)


def test_a_large_stroke_in_colour_is_read_from_literals_longer_than_a_block():
    generator = np.random.default_rng(3)
    rgba = generator.integers(1, 255, (200, 300, 4))
    rgba[:, ::7, 3] = 0
    encoded = as_the_editor(rgba.ravel().tolist())
    assert np.array_equal(decode_rle(encoded, 200, 300), rgba[:, :, 3] > 0)


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


def test_a_mask_of_a_gigapixel_is_refused():
    with pytest.raises(MaskError, match="H, W"):
        encode_rle(np.broadcast_to(np.zeros(1, bool), (2**15, 2**15)))


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


@pytest.mark.parametrize("seed", range(4))
def test_a_damaged_code_is_read_as_the_sdk_reads_it_or_refused(seed):
    generator = np.random.default_rng([11, seed])
    refused = read = 0
    for mask in small_masks(seed + 200, 150, side=16):
        values = np.repeat(mask.ravel(), 4) * generator.integers(0, 256, mask.size * 4)
        written = brush.encode_rle if seed % 2 else as_the_editor
        code = np.array(written(values.astype(int).tolist()), np.uint8)
        if seed == 0:
            code = np.array(encode_rle(mask), np.uint8)
        flipped = np.unpackbits(code)
        flipped[generator.integers(37, flipped.size, int(generator.integers(1, 4)))] ^= 1
        damaged = np.packbits(flipped)[: int(generator.integers(8, code.size + 1))].tolist()
        try:
            expected = brush.decode_rle(damaged).reshape(*mask.shape, 4)[:, :, 3] > 0
        except (ValueError, IndexError):
            expected = None
        try:
            found = decode_rle(damaged, *mask.shape)
        except MaskError:
            refused += 1  # the SDK cuts a run that is too long, and takes what is half gone
        else:
            read += 1
            assert np.array_equal(found, expected)
    assert refused > 10 and read > 3


def test_a_code_of_the_worst_kind_takes_memory_by_the_mask_s_size_alone():
    side = 128
    head = (4 * side * side).to_bytes(4, "big") + bytes([0x3D, 0x55, 0x55])  # lengths of 11 bits
    code = list((head + bytes(4 * 4 * side * side))[: 4 * 4 * side * side])
    tracemalloc.start()
    with contextlib.suppress(MaskError):  # a value for each literal of one
        decode_rle(code, side, side)
    assert tracemalloc.get_traced_memory()[1] < len(code) * 4 + 10 * 2**20
    tracemalloc.stop()


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


def test_a_mask_is_the_same_after_a_bitmask_s_round_trip():
    mask = np.random.default_rng(3).random((20, 30)) < 0.3
    assert np.array_equal(decode_bitmask(encode_bitmask(mask), 20, 30), mask)
    with pytest.raises(MaskError, match="its shape is"):
        encode_bitmask(np.zeros((0, 4), bool))


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
