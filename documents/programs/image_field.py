"""Print a field of the inspected image; the items of a list, one in a line."""

import json
import sys

with open(sys.argv[1], encoding="utf-8") as stream:
    value = json.load(stream)[0].get(sys.argv[2]) or []
print("\n".join(value) if isinstance(value, list) else value)
