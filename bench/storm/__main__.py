"""Run as ``python -m bench.storm``."""

from .cli import main

if __name__ == "__main__":
    raise SystemExit(main())
