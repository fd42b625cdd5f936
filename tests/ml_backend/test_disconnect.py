"""Taking a project off this backend, as far as no Label Studio is needed for it."""

import pytest
from redis import Redis

from ml_backend.caches.disk import DiskCache
from ml_backend.caches.pictures import PictureCache
from ml_backend.connection import Connection, is_disconnected, keep_connection
from ml_backend.disconnect import disconnect_project
from ml_backend.label_studio import LabelStudio, LabelStudioDown
from ml_backend.settings import Settings

NOWHERE = "http://127.0.0.1:9"


def test_this_machines_pictures_go_at_once_although_label_studio_is_away(redis_url, tmp_path):
    settings = Settings(
        data_dir=tmp_path, redis_url=redis_url, label_studio_url=NOWHERE, patience_s=0
    )
    Redis.from_url(redis_url).flushall()
    for project_id in (1, 2):
        keep_connection(settings, project_id, Connection("http://backend.example"))
        PictureCache.of(settings, project_id).keep(7, "/data/upload/1/0300b9c5-s.png", b"png")
    with LabelStudio(NOWHERE, "0" * 40, patience_s=0) as server, pytest.raises(LabelStudioDown):
        disconnect_project(settings, server, 1, ["http://backend.example"])
    assert is_disconnected(settings, 1)
    assert DiskCache.of(settings).folders("projects") == ["2"]
