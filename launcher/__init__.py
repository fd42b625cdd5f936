"""What ``./quorum`` runs: sets up the environments, starts and stops the services."""

from pathlib import Path

CLONE = Path(__file__).resolve().parent.parent
