"""The page of addresses says who may call by having asked."""

import pytest

from launcher.reference import api


@pytest.fixture(scope="module")
def addresses():
    return {(a.path, a.methods): a for a in api.addresses()}


def test_only_health_the_root_and_signing_in_are_open_to_anybody(addresses):
    opened = {path for (path, _), address in addresses.items() if address.who == "anybody"}
    assert opened == {"/", "/health", "/sign-in"}


def test_the_webhook_takes_its_secret(addresses):
    assert "the webhook's secret" in addresses["/webhook", ("POST",)].who


def test_a_read_only_link_shows_and_does_nothing(addresses):
    for (path, methods), address in addresses.items():
        if "link" in address.who and path != "/view/<token>":
            assert methods == ("GET",)
            assert "actions" not in path


def test_each_address_says_what_it_does(addresses):
    silent = [path for (path, _), address in addresses.items() if not address.first]
    assert silent == []
