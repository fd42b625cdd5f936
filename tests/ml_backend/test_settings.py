"""Settings and their bounds."""

import pytest

from ml_backend.settings import Settings, SettingsError


def test_the_environment_is_read_in_the_setting_s_own_type():
    settings = Settings.from_environment(
        {"QUORUM_K": "32", "QUORUM_BATCH": "4", "QUORUM_SLAB_MM": "12.5", "QUORUM_DATA_DIR": "/x"}
    )
    assert (settings.K, settings.k, settings.slab_mm) == (32, 4, 12.5)
    assert str(settings.store_root) == "/x/store"


def test_an_empty_variable_leaves_the_default():
    assert Settings.from_environment({"QUORUM_K": ""}) == Settings()


@pytest.mark.parametrize(
    ("environment", "words"),
    [
        ({"QUORUM_K": "many"}, "QUORUM_K must be of type int"),
        ({"QUORUM_BATCH": "0"}, "QUORUM_BATCH must be at least 1: it is 0"),
        ({"QUORUM_K": "3", "QUORUM_BATCH": "8"}, "QUORUM_K must be at least QUORUM_BATCH"),
        ({"QUORUM_MEMBERS": "1"}, "QUORUM_MEMBERS"),
        ({"QUORUM_HELD_OUT_FRACTION": "1.5"}, "between 0 and 1"),
        ({"QUORUM_HOLD_DRAFTS_BACK": "10"}, "QUORUM_HOLD_DRAFTS_BACK must be between 0 and 1"),
        ({"QUORUM_REST_AS": "masks"}, "predictions or annotations"),
        ({"LABEL_STUDIO_URL": "localhost:8080"}, "LABEL_STUDIO_URL must be an http"),
        ({"LABEL_STUDIO_PUBLIC_URL": "javascript:1"}, "LABEL_STUDIO_PUBLIC_URL must be an http"),
        ({"QUORUM_BASIC_AUTH_USER": "quorum"}, "QUORUM_BASIC_AUTH_PASSWORD"),
    ],
)
def test_a_bad_value_is_refused_with_its_variable_named(environment, words):
    with pytest.raises(SettingsError, match=words):
        Settings.from_environment(environment)


def test_no_secret_is_quoted_in_an_error():
    with pytest.raises(SettingsError) as caught:
        Settings(basic_auth_user="", basic_auth_password="hunter2")
    assert "hunter2" not in str(caught.value)
