"""As a browser turns a picture the committee reads it, else labels lie beside the pixels."""

import base64

import numpy as np
import pytest

from ml_backend.images import read_image

from ..ml_backend.photographs import MARKED, marked

# What an <img> shows, by rows: whether each pixel is bright.
DRAWN = """async address => {
    const image = new Image();
    image.src = address;
    await image.decode();
    const canvas = document.createElement("canvas");
    canvas.width = image.naturalWidth;
    canvas.height = image.naturalHeight;
    const context = canvas.getContext("2d");
    context.drawImage(image, 0, 0);
    const { data } = context.getImageData(0, 0, canvas.width, canvas.height);
    const bright = [];
    for (let i = 0; i < data.length; i += 4) bright.push(data[i] > 128);
    return { bright, size: [canvas.height, canvas.width] };
}"""


@pytest.fixture(scope="module")
def page(browser):
    context = browser.new_context()
    yield context.new_page()
    context.close()


@pytest.mark.parametrize("name", MARKED)
def test_a_picture_is_read_as_the_browser_shows_it(page, name):
    content, _ = marked(name)
    kind = name.partition(" ")[0].lower()
    address = f"data:image/{kind};base64,{base64.b64encode(content).decode()}"
    shown = page.evaluate(DRAWN, address)
    assert np.array_equal(read_image(content) > 128, np.reshape(shown["bright"], shown["size"]))
