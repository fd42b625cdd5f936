"""A command that tells what settings it was started with."""

import json
import os


def main(arguments):
    names = ("QUORUM_DATA_DIR", "QUORUM_REDIS_URL", "QUORUM_SPLIT_KEY", "QUORUM_K")
    print(json.dumps({name: os.environ.get(name) for name in names}))
    return 0
