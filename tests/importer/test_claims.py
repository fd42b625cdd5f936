"""Whose pictures have an instance's names."""

from concurrent.futures import ThreadPoolExecutor

from importer.claims import claim, claimed

ONE, TWO = "ab" + "0" * 18, "ab" + "1" * 18


def test_the_first_has_the_names_and_every_other_is_told_whose_they_are(tmp_path):
    images = tmp_path / "images"
    assert claimed(images, ONE) == ""
    assert claim(images, ONE, "1.2:first", there=False) == "1.2:first"
    assert claim(images, ONE, "1.2:second", there=False) == "1.2:first"
    assert claim(images, TWO, "1.2:second", there=False) == "1.2:second"
    assert (claimed(images, ONE), claimed(images, TWO)) == ("1.2:first", "1.2:second")


def test_of_many_at_the_same_moment_one_has_the_names(tmp_path):
    asked = [f"1.2:{number}" for number in range(64)]
    with ThreadPoolExecutor(16) as pool:
        told = list(pool.map(lambda p: claim(tmp_path / "images", ONE, p, there=False), asked))
    assert set(told) == {claimed(tmp_path / "images", ONE)}


def test_a_line_that_a_full_disk_cut_short_is_no_claim(tmp_path):
    images = tmp_path / "images"
    claim(images, TWO, "1.2:whole", there=False)
    (lines,) = (tmp_path / ".images.claims").iterdir()
    with lines.open("a") as stream:
        stream.write(f"{ONE} 1.2:to")
    assert claimed(images, ONE) == ""
    assert claim(images, ONE, "1.2:torn", there=False) == "1.2:torn"
    assert lines.read_text() == f"{TWO} 1.2:whole\n{ONE} 1.2:torn\n"
