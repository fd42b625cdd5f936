"""Images in a project's cloud storage: what Label Studio makes of s3:// addresses, and we of it."""

import base64
import io

import fsspec
import httpx
import numpy as np
import pytest
from PIL import Image

from launcher.processes import Supervisor, free_port
from launcher.services import Account, await_http, start_label_studio
from ml_backend.images import read_image
from ml_backend.label_studio import LabelStudio, LabelStudioError

from .object_server import ACCESS_KEY, SECRET_KEY, Swift

CONFIG = """<View><Image name="image" value="$image"/>
<BrushLabels name="label" toName="image"><Label value="Lung"/></BrushLabels></View>"""
PIXELS = np.arange(256, dtype=np.uint8).reshape(16, 16)
URI = "s3://slices/ward a/slice 1.png"


@pytest.fixture(scope="module")
def swift(tmp_path_factory):
    """An object store with one picture in it."""
    server = Swift(tmp_path_factory.mktemp("swift"))
    stream = io.BytesIO()
    Image.fromarray(PIXELS).save(stream, "png")
    try:
        with pytest.MonkeyPatch.context() as patch:
            for name, value in server.environment.items():
                patch.setenv(name, value)
            files = fsspec.filesystem("s3", skip_instance_cache=True)
            files.mkdir("slices")
            files.pipe_file(URI.removeprefix("s3://"), stream.getvalue())
        yield server
    finally:
        server.stop()


@pytest.fixture(scope="module")
def account(tmp_path_factory):
    """A Label Studio of its own, without a backend; its address and owner."""
    supervisor, data = Supervisor(), tmp_path_factory.mktemp("cloud")
    owner = Account("owner@clinic.example", "Kanari-4711", "c" * 40)
    try:
        url = start_label_studio(supervisor, data, free_port(), owner)
        await_http(supervisor, "Label Studio", f"{url}/health", 420)
        yield url, owner
    finally:
        supervisor.stop()


@pytest.fixture(scope="module", params=[True, False], ids=["presigned", "passed on"])
def project(request, account, swift):
    """A project with that storage, whose addresses Label Studio signs or passes on; its number."""
    url, owner = account
    with LabelStudio(url, owner.token) as server:
        number = server.create_project(f"cloud {request.param}", CONFIG)
        server.import_tasks(number, [{"data": {"image": URI}}])
    storage = {
        "project": number,
        "bucket": "slices",
        "s3_endpoint": swift.url,
        "region_name": "us-east-1",
        "aws_access_key_id": ACCESS_KEY,
        "aws_secret_access_key": SECRET_KEY,
        "presign": request.param,
        "use_blob_urls": True,
    }
    headers = {"Authorization": f"Token {owner.token}"}
    made = httpx.post(f"{url}/api/storages/s3/", json=storage, headers=headers, trust_env=False)
    assert made.status_code == 201, made.text
    return number, request.param


def test_an_image_in_a_storage_is_read_whether_its_address_is_resolved_or_not(
    account, swift, project
):
    url, owner = account
    number, _ = project
    host = swift.url.removeprefix("http://")
    with LabelStudio(url, owner.token, image_hosts=host) as server:
        (task,) = server.tasks(number)
        # As Label Studio lists it, and as it stands in the task.
        encoded = base64.urlsafe_b64encode(URI.encode()).decode()
        assert task.data["image"] == f"{url}/tasks/{task.id}/resolve/?fileuri={encoded}"
        for address in (task.data["image"], URI):
            assert np.array_equal(read_image(server.image(address, task.id)), PIXELS)


def test_a_signed_address_is_followed_to_a_listed_host_only(account, swift, project):
    url, owner = account
    number, presigned = project
    with LabelStudio(url, owner.token) as server:
        (task,) = server.tasks(number)
        if presigned:
            with pytest.raises(LabelStudioError, match=r"but by 127\.0\.0\.1.*QUORUM_IMAGE_HOSTS"):
                server.image(task.data["image"], task.id)
        else:
            assert np.array_equal(read_image(server.image(task.data["image"])), PIXELS)
        # Another bucket than the project's is not Label Studio's to give.
        with pytest.raises(LabelStudioError, match="gone or refused"):
            server.image("s3://elsewhere/a.png", task.id)
