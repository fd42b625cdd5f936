"""The encrypted way back."""

import stat
import threading

import pytest

from importer.vault import Vault, VaultError, alone, in_use, vault_of

from .files import small_files_only

KEY, OTHER = b"k" * 32, b"o" * 32


def filled(path, count=3, key=KEY):
    vault = Vault(path, key)
    for n in range(count):
        vault.keep(f"{n:020x}", {"kind": "patient", "name": f"Müller^{n}"})
    vault.flush()
    return vault


def test_what_is_kept_is_found_again_and_unreadable_without_the_key(tmp_path):
    path = vault_of(tmp_path / "importer.key")
    filled(path, 1200)
    assert Vault(path, KEY).reveal([f"{7:020x}"]) == {
        f"{7:020x}": {"kind": "patient", "name": "Müller^7"}
    }
    assert len(dict(Vault(path, KEY).entries())) == 1200
    assert b"ller" not in path.read_bytes()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    with pytest.raises(VaultError, match="not written with this key"):
        list(Vault(path, OTHER).entries())


def test_what_is_known_is_not_written_again(tmp_path):
    filled(tmp_path / "v")
    size = (tmp_path / "v").stat().st_size
    again = Vault(tmp_path / "v", KEY)
    again.load()
    again.keep(f"{1:020x}", {})
    again.flush()
    assert (tmp_path / "v").stat().st_size == size


def test_a_line_that_a_crash_cut_short_loses_only_itself(tmp_path):
    path = tmp_path / "v"
    filled(path)
    with path.open("ab") as stream:
        stream.write(b"gAAAAABtorn")
    later = Vault(path, KEY)
    later.keep("f" * 20, {"kind": "study"})
    later.flush()
    assert len(dict(Vault(path, KEY).entries())) == 4


def test_a_first_line_that_was_cut_short_does_not_pass_for_another_key_s(tmp_path):
    path = tmp_path / "v"
    filled(path)
    path.write_bytes(path.read_bytes()[:50])
    later = Vault(path, KEY)
    later.load()
    later.keep("f" * 20, {"kind": "study"})
    later.flush()
    assert len(dict(Vault(path, KEY).entries())) == 1


def test_a_full_disk_leaves_no_half_of_a_line(tmp_path):
    path = tmp_path / "v"
    for _ in range(2):
        with small_files_only(50), pytest.raises(OSError):
            filled(path)
        assert path.read_bytes() == b""
    filled(path)
    whole = path.read_bytes()
    more = Vault(path, KEY)
    more.keep("f" * 20, {"kind": "study"})
    with small_files_only(len(whole) + 50), pytest.raises(OSError):
        more.flush()
    assert path.read_bytes() == whole
    more.flush()
    assert len(dict(Vault(path, KEY).entries())) == 4


def test_a_tampered_line_is_not_believed(tmp_path):
    path = tmp_path / "v"
    filled(path)
    content = bytearray(path.read_bytes())
    content[60] = ord("A") if content[60] != ord("A") else ord("B")
    path.write_bytes(bytes(content))
    with pytest.raises(VaultError):
        list(Vault(path, KEY).entries())


def test_under_a_new_key_the_vault_still_knows_all(tmp_path):
    filled(tmp_path / "v").rewrite(OTHER)
    assert len(dict(Vault(tmp_path / "v", OTHER).entries())) == 3
    with pytest.raises(VaultError):
        list(Vault(tmp_path / "v", KEY).entries())


def test_lines_of_another_key_outlast_a_rotation(tmp_path):
    """As an import wrote them that went on after its key was replaced."""
    path = tmp_path / "v"
    filled(path)
    late = Vault(path, b"l" * 32)
    late.keep("f" * 20, {"kind": "patient", "name": "late"})
    late.flush()
    for key, new in ((KEY, OTHER), (OTHER, KEY)):
        assert Vault(path, key).rewrite(new) == 1
    assert len(dict(Vault(path, KEY).entries())) == 3
    assert Vault(path, b"l" * 32).reveal(["f" * 20]) == {
        "f" * 20: {"kind": "patient", "name": "late"}
    }


@pytest.mark.parametrize("replaced", [True, False])
def test_a_rotation_that_was_killed_before_the_vault_was_replaced_is_finished(tmp_path, replaced):
    path = tmp_path / "v"

    def die():
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        filled(path).rewrite(OTHER, die)
    key, other = (OTHER, KEY) if replaced else (KEY, OTHER)  # that the key file holds, or not
    assert set(dict(Vault(path, key).entries())) == {f"{n:020x}" for n in range(3)}
    with pytest.raises(VaultError, match="not written with this key"):
        list(Vault(path, b"3" * 32).entries())
    if replaced:
        with pytest.raises(VaultError, match="not written with this key"):
            list(Vault(path, other).entries())


def test_imports_share_the_vault_and_a_rotation_must_have_it_alone(tmp_path):
    path = tmp_path / "new" / "v"
    refused = pytest.raises(VaultError, match=r"import, release or receive .* let it end, or stop")
    with in_use(path), in_use(path), refused, alone(path):
        raise AssertionError("the key was replaced below an import")
    order = []
    with alone(path):
        importing = threading.Thread(target=lambda: order.append(_entered(path)))
        importing.start()
        importing.join(0.1)
        order.append("rotated")
    importing.join()
    assert order == ["rotated", "imports"]
    assert stat.S_IMODE((tmp_path / "new" / "v.lock").stat().st_mode) == 0o600


def _entered(path):
    with in_use(path):
        return "imports"
