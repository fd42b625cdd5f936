"""The README's pictures of the page: ``python -m tests.browser.screenshots``."""

from __future__ import annotations

import io
import tempfile
from pathlib import Path

from PIL import Image
from playwright.sync_api import Browser, Page

from launcher.processes import Supervisor
from launcher.services import remove_socket, start_redis
from ml_backend.app import create_app
from ml_backend.jobs import Jobs
from ml_backend.settings import Settings
from ml_backend.store import Store

from .sample import PASSWORD, PROJECT_ID, USER, put_into
from .serving import chromium, served

FOLDER = Path(__file__).resolve().parents[2] / "docs" / "images"
MOST_BYTES = 250_000
# Name, colour scheme, width in pixels, and the element below which the picture ends.
PICTURES = (
    ("progress-light", "light", 1280, "#quality figure"),
    ("progress-phone-dark", "dark", 360, "#now"),
)
_MARGIN_PX = 16


def main() -> None:
    """Fill a project, serve it, and write its pictures."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    supervisor, url = Supervisor(), ""
    with tempfile.TemporaryDirectory(prefix="quorum-shots-") as folder:
        try:
            url = start_redis(supervisor, Path(folder))
            settings = Settings(
                redis_url=url,
                data_dir=Path(folder),
                basic_auth_user=USER,
                basic_auth_password=PASSWORD,
                webhook_secret="battery staple",
            )
            jobs = Jobs.connect(settings)
            sample = put_into(Store(settings.store_root, PROJECT_ID), jobs, settings)
            sample.report(sample.begin_round(), "train", 240, 400)
            with served(create_app(settings)) as address, chromium() as browser:
                for name, scheme, width, last in PICTURES:
                    content = picture(browser, address, scheme, width, last)
                    (FOLDER / f"{name}.png").write_bytes(content)
                    print(f"{name}.png: {len(content):,} bytes")
        finally:
            supervisor.stop()
            remove_socket(url)


def picture(browser: Browser, address: str, scheme: str, width: int, last: str) -> bytes:
    """The top part of the project's page, as a PNG below MOST_BYTES.

    Raises ValueError if it is larger.
    """
    context = browser.new_context(
        base_url=address,
        color_scheme="dark" if scheme == "dark" else "light",
        viewport={"width": width, "height": 900},
    )
    page = context.new_page()
    sign_in(page, f"/progress/{PROJECT_ID}")
    box = page.locator(last).first.bounding_box()
    assert box is not None
    height = round(box["y"] + box["height"]) + _MARGIN_PX
    # As high as the picture: pictures of slices are loaded where they are seen.
    page.set_viewport_size({"width": width, "height": height})
    page.wait_for_load_state("networkidle")
    image = Image.open(io.BytesIO(page.screenshot())).convert("RGB")
    context.close()
    # The usual choice, median cut, gives rare colours away, such as those of small legends.
    few = image.quantize(256, Image.Quantize.MAXCOVERAGE, dither=Image.Dither.NONE)
    stream = io.BytesIO()
    few.save(stream, "png", optimize=True)
    if stream.tell() > MOST_BYTES:
        raise ValueError(f"the picture has {stream.tell():,} bytes: make it smaller")
    return stream.getvalue()


def sign_in(page: Page, path: str) -> None:
    """Go to a page by way of the form."""
    page.goto(path)
    page.get_by_label("User").fill(USER)
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Sign in").click()
    page.wait_for_url(f"**{path}")


if __name__ == "__main__":
    main()
