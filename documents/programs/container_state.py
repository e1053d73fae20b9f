"""Print when the application's container was started, or a word that says why it is not running."""

import datetime as dt
import json
import re
import sys

try:
    container = json.load(sys.stdin)[0]
except (ValueError, IndexError):
    print("absent")
    sys.exit()
state = container["State"]
if sys.argv[1] != container["Image"] and sys.argv[2] != container["Config"]["Image"]:
    print("of-another-image")
elif not state["Running"]:
    print(
        "not running, exit code",
        str(state.get("ExitCode")) + (", out of memory" if state.get("OOMKilled") else ""),
    )
else:
    # Docker prints nanoseconds; Python reads microseconds.
    started = re.sub(r"\.\d+", "", state["StartedAt"]).replace("Z", "+00:00")
    print("running", int(dt.datetime.fromisoformat(started).timestamp()))
