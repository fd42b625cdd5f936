"""Whose address a request is counted under."""

import pytest

from ml_backend.callers import caller, networks_in
from ml_backend.settings import Settings, SettingsError

PROXY = "172.18.0.9"


@pytest.mark.parametrize(
    ("peer", "forwarded", "trusted", "found"),
    [
        ("10.1.1.1", "", "", "10.1.1.1"),
        ("10.1.1.1", "8.8.4.4", "", "10.1.1.1"),  # anybody could write that
        ("127.0.0.1", "8.8.4.4", "", "8.8.4.4"),
        ("::1", "8.8.4.4", "", "8.8.4.4"),
        (PROXY, "8.8.4.4", "", PROXY),
        (PROXY, "8.8.4.4", PROXY, "8.8.4.4"),
        (PROXY, "8.8.4.4", "172.18.0.0/16", "8.8.4.4"),
        (f"::ffff:{PROXY}", "8.8.4.4", PROXY, "8.8.4.4"),
        (PROXY, "1.2.3.4, 8.8.4.4", PROXY, "8.8.4.4"),  # what stands before could be made up
        (PROXY, f"1.2.3.4, 8.8.4.4, {PROXY}", PROXY, "8.8.4.4"),
        (PROXY, "8.8.4.4, 172.18.0.4, 127.0.0.1", "172.18.0.0/16", "8.8.4.4"),
        (PROXY, "8.8.4.4, 172.19.0.4", "172.18.0.0/16", "172.19.0.4"),
        (PROXY, "", PROXY, PROXY),
        (PROXY, "8.8.4.4, unknown", PROXY, PROXY),
        (PROXY, "8.8.4.4,", PROXY, PROXY),
        (PROXY, "2001:db8::1", PROXY, "2001:db8::/64"),  # one home's network
        ("fd00::9", "8.8.4.4", "fd00::/8", "8.8.4.4"),
        ("", "8.8.4.4", PROXY, ""),
    ],
)
def test_the_caller_is_the_last_that_no_trusted_proxy_is(peer, forwarded, trusted, found):
    assert caller(peer, forwarded, networks_in(trusted)) == found


@pytest.mark.parametrize("text", ["proxy", "10.0.0.1:80", "10.0.0.1/24", "0.0.0.0/0", "::/0", "*"])
def test_what_is_no_proxys_address_is_refused_by_name(text):
    with pytest.raises(SettingsError, match=r"QUORUM_TRUSTED_PROXIES: .*\S"):
        Settings(trusted_proxies=f"10.0.0.2, {text}")


def test_by_default_nobody_elsewhere_is_believed():
    assert networks_in(Settings().trusted_proxies) == ()
