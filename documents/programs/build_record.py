"""Print what the instance was built from."""

import json
import os
import sys

with open(sys.argv[1], encoding="utf-8") as stream:
    identity = json.load(stream)
fields = ("application", "environment", "image_uri", "image_digest", "image_tag", "mode", "run_id")
print(json.dumps({"schema": 1, **{name: os.environ[name] for name in fields}, **identity}, indent=2))
