"""``./quorum reveal`` and ``rotate-key``: what only the holder of the hospital's key can do."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path

from .delivery import guarded
from .keys import begin_rotation, end_rotation, load_or_make_key
from .options import add_key_option, existing_key_file, key_file, parser_of
from .vault import Vault, alone, vault_of


def reveal_command(argv: Sequence[str]) -> int:
    """Say whom or what pseudonyms stand for, from the vault."""
    parser = parser_of("reveal", reveal_command)
    parser.add_argument("pseudonym", nargs="*", help="all, if none is given")
    parser.add_argument("--vault", type=Path, help="if it does not lie beside the key")
    add_key_option(parser, made=False)
    arguments = parser.parse_args(argv)

    def run() -> int:
        key = existing_key_file(arguments)
        vault = Vault(arguments.vault or vault_of(key), load_or_make_key(key))
        found = vault.reveal(arguments.pseudonym) if arguments.pseudonym else dict(vault.entries())
        print(json.dumps(found, indent=1, ensure_ascii=False))
        missing = set(arguments.pseudonym) - set(found)
        for name in sorted(missing):
            print(f"quorum reveal: {name} is not in the vault", file=sys.stderr)
        return 1 if missing else 0

    return guarded("reveal", None, run)


def rotate_command(argv: Sequence[str]) -> int:
    """Replace the hospital's key, and encrypt the vault under the new one."""
    parser = parser_of("rotate-key", rotate_command)
    add_key_option(parser, made=False)
    arguments = parser.parse_args(argv)

    def run() -> int:
        path = existing_key_file(arguments)
        with alone(vault_of(path)):
            Vault(vault_of(path), load_or_make_key(path)).load()  # readable, or nothing is touched
            old, new = begin_rotation(path)
            # A full disk must not leave a new key beside the vault of the old one.
            closed = Vault(vault_of(path), old).rewrite(new, lambda: end_rotation(path))
        print(
            f"{path} is new, and the vault is encrypted under it. Pseudonyms made so far stay "
            f"known to the vault; new imports get new ones. Move {path}.old to your safe."
        )
        if closed:
            print(
                f"{closed} lines of the vault were not written with this key, or are torn: they "
                "stay as they are. Keys of earlier rotations may still open them, with "
                f"./quorum reveal --key OLD_KEY --vault {vault_of(path)}."
            )
        return 0

    return guarded("rotate-key", key_file(arguments).parent, run)
