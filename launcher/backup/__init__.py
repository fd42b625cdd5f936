"""``./quorum backup`` and ``restore``: what cannot be made again, in one checked archive.

A backup of the backend's side holds the store and the secrets, one of the hospital's side the key
and the vault; never both: whoever has images, labels and the key can name every patient.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence


def backup_command(argv: Sequence[str]) -> int:
    """``./quorum backup``; its exit status."""
    from ..up import with_running_settings
    from .backing_up import main

    if "--hospital" in argv or "-h" in argv or "--help" in argv:
        return main(argv)
    # The store of what runs, wherever this command is called from, and the secrets it runs with.
    # A demo's in the place of a deployment that is stopped would be restored over that one.
    return with_running_settings(main.__module__, argv, backend=False, or_demo=False)


def restore_command(argv: Sequence[str]) -> int:
    """``./quorum restore``; its exit status."""
    from .restoring import main

    return main(argv)


COMMANDS: dict[str, Callable[[Sequence[str]], int]] = {
    "backup": backup_command,
    "restore": restore_command,
}
