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
        ({"QUORUM_STRATEGY": "random-foreground"}, "QUORUM_STRATEGY must be random, unc"),
        ({"QUORUM_NETWORK": "resnet"}, "QUORUM_NETWORK must be fcn, unet, cumednet, monai:NAME"),
        ({"QUORUM_NETWORK": "monai:"}, "QUORUM_NETWORK must be"),
        ({"QUORUM_WIDTH": "-1"}, "QUORUM_WIDTH must be 0 or more: it is -1"),
        ({"QUORUM_SCALES": "1"}, "QUORUM_SCALES must be 0, or from 2 to 12: it is 1"),
        ({"QUORUM_SCALES": "-3"}, "QUORUM_SCALES must be 0, or from 2"),
        ({"QUORUM_SCALES": "1000000000"}, "QUORUM_SCALES must be 0, or from 2"),
        ({"QUORUM_STEPS": "-1"}, "QUORUM_STEPS must be 0 or more"),
        ({"QUORUM_TRAIN_BATCH": "-1"}, "QUORUM_TRAIN_BATCH must be 0 or more"),
        ({"QUORUM_SIDE_PX": "-16"}, "QUORUM_SIDE_PX must be 0, or a multiple"),
        ({"QUORUM_SIDE_PX": "100"}, "or a multiple of 16 for 5 scales: it is 100"),
        ({"QUORUM_SIDE_PX": "80", "QUORUM_SCALES": "6"}, "a multiple of 32 for 6 scales"),
        ({"QUORUM_START": "encoder", "QUORUM_NETWORK": "unet"}, "only the fcn can start from"),
        ({"QUORUM_ROUND_TIMEOUT_S": "0"}, "QUORUM_ROUND_TIMEOUT_S must be at least 1 s: it is 0"),
        ({"QUORUM_REQUEST_TIMEOUT_S": "0"}, "QUORUM_REQUEST_TIMEOUT_S must be above 0 s"),
        ({"QUORUM_PATIENCE_S": "-1"}, "QUORUM_PATIENCE_S must be 0 s or more"),
        ({"QUORUM_REST_AS": "masks"}, "predictions or annotations"),
        ({"QUORUM_AUGMENTATION": "some"}, "QUORUM_AUGMENTATION must be repeats, all or none"),
        ({"QUORUM_MIRROR": "left"}, "QUORUM_MIRROR must be of type bool"),
        ({"LABEL_STUDIO_URL": "localhost:8080"}, "LABEL_STUDIO_URL must be an http"),
        ({"LABEL_STUDIO_PUBLIC_URL": "javascript:1"}, "LABEL_STUDIO_PUBLIC_URL must be an http"),
        ({"QUORUM_BASIC_AUTH_USER": "quorum"}, "QUORUM_BASIC_AUTH_PASSWORD"),
    ],
)
def test_a_bad_value_is_refused_with_its_variable_named(environment, words):
    with pytest.raises(SettingsError, match=words):
        Settings.from_environment(environment)


@pytest.mark.parametrize(
    "environment",
    [
        {"QUORUM_SIDE_PX": "112"},
        {"QUORUM_SIDE_PX": "8", "QUORUM_SCALES": "3"},
        {"QUORUM_START": "encoder"},
        {"QUORUM_NETWORK": "monai:SegResNet"},
        {"QUORUM_NETWORK": "hospital.networks:Ours"},
    ],
)
def test_what_can_be_trained_on_some_device_is_taken(environment):
    Settings.from_environment(environment)


def test_the_networks_and_scales_that_settings_know_are_those_of_the_learning_core():
    from ml_backend.learning import choices
    from ml_backend.learning.baselines import NETWORKS
    from ml_backend.learning.training_settings import TrainingSettings, preset
    from ml_backend.settings import bounds

    assert tuple(NETWORKS) == choices.NETWORKS
    assert min(preset("cpu").scales, TrainingSettings().scales) == bounds._LEAST_SCALES


def test_no_secret_is_quoted_in_an_error():
    with pytest.raises(SettingsError) as caught:
        Settings(basic_auth_user="", basic_auth_password="hunter2")
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize(
    ("variable", "address"),
    [
        ("LABEL_STUDIO_URL", "http://u:hunter2@label-studio:8080"),
        ("LABEL_STUDIO_URL", "u:hunter2@label-studio:8080"),
        ("LABEL_STUDIO_URL", "http://:hunter2/x@label-studio"),
        ("LABEL_STUDIO_PUBLIC_URL", "https://u:hunter2@labels.clinic.example"),
        ("QUORUM_PUBLIC_URL", "https://u:hunter2@quorum.clinic.example"),
        ("QUORUM_REDIS_URL", "redis://:S3c/hunter2+pass@redis:6379/0"),
        ("QUORUM_REDIS_URL", "redis://:1234/hunter2@redis:6379/0"),
        ("QUORUM_REDIS_URL", "rediss://:1?hunter2@redis:6379/0"),
        ("QUORUM_REDIS_URL", "redis://:1#hunter2@redis:6379/0"),
        ("QUORUM_REDIS_URL", "redis://u:p@1/hunter2@redis:6379/0"),
        ("QUORUM_REDIS_URL", "redis://:[hunter2@redis:6379/0"),
        ("QUORUM_REDIS_URL", "unix://:S3c/hunter2@/run/redis.sock"),
        ("QUORUM_REDIS_URL", "hunter2@redis:6379"),
    ],
)
def test_an_address_in_which_a_password_may_stand_is_refused_and_not_shown(variable, address):
    with pytest.raises(SettingsError, match=f"{variable} must be") as caught:
        Settings.from_environment({variable: address})
    assert "hunter2" not in str(caught.value)
    assert "S3c" not in str(caught.value)
    if "REDIS" in variable:
        assert "%2F" in str(caught.value)


@pytest.mark.parametrize(
    "address",
    [
        "redis://127.0.0.1:6379/0",
        "redis://:S3c%2Fret+pass@redis:6379/0",
        "rediss://u:p%40ss@redis:6379/0?ssl_ca_certs=/certificates/ca.crt",
        "redis://[::1]:6379",
        "unix:///srv/a@b/redis.sock",
        "unix://:secret@/run/redis.sock?db=1",
    ],
)
def test_an_address_of_redis_that_can_be_read_is_taken(address):
    assert Settings(redis_url=address).redis_url == address


@pytest.mark.parametrize(
    "address",
    [
        "quorum.clinic.example",
        "javascript:alert(1)",
        "https://",
        "https://quorum.clinic.example/page",
        "https://quorum.clinic.example/?a",
        "https://quorum.clinic.example/#a",
        "https://quorum.clinic.example:x",
        "https://quorum.clinic.example /",
        "https:\\\\quorum.clinic.example",
    ],
)
def test_the_page_s_address_is_that_of_a_whole_host(address):
    with pytest.raises(SettingsError, match="QUORUM_PUBLIC_URL must be"):
        Settings(page_url=address)
    assert Settings(page_url="https://quorum.clinic.example:8443/").page_url
