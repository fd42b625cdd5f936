"""How quickly the progress page answers, measured over projects that are made up."""

from .cli import main

__all__ = ["main"]
