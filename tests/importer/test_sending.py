"""What cannot be sent is told before anything is written, or without ending the run."""

import pytest
from pydicom.dataset import Dataset

from importer.segmentations.sending import SendError, by_store


@pytest.mark.parametrize("title", ["QUORUM-RADIOLOGY-1", "A\\B", "Röntgen", "A\nB", " "])
def test_a_title_that_no_pacs_takes_is_told_at_once(title):
    with pytest.raises(ValueError, match="AE title has 1 to 16 ASCII"):
        by_store("PACS@127.0.0.1:104", title)
    with pytest.raises(ValueError, match="AE title has 1 to 16 ASCII"):
        by_store(f"{title}@127.0.0.1:104")


def test_a_title_may_be_sixteen_characters_long():
    by_store("PACS OF THE WARD@127.0.0.1:104", "QUORUM-RADIOLOGY")


@pytest.mark.parametrize("place", ["PACS", "PACS@host", "PACS@host:0", "PACS@host:70000", "@h:1"])
def test_a_place_that_is_none_is_told_at_once(place):
    with pytest.raises(ValueError, match="AE@HOST:PORT"):
        by_store(place)


@pytest.mark.parametrize("host", ["no-such-host.invalid", "two..dots"])
def test_a_host_without_an_address_stops_no_other_series(host):
    with pytest.raises(SendError, match="no address"):
        by_store(f"PACS@{host}:104")(Dataset())
