"""The part of the Docker command line that the scripts use, over a state kept in one JSON file.

The machine's harness links it as `docker` into the PATH of a script. Errors have Docker's own words.
"""

import fcntl
import json
import os
import subprocess
import sys
from pathlib import Path

STATE = Path(os.environ["FAKE_STATE"])


def fail(message):
    print(message, file=sys.stderr)
    sys.exit(1)


def print_lines(names):
    for name in names:
        print(name)


def find(state, name):
    for image_id, image in state["images"].items():
        if name in (image_id, *image["RepoDigests"], *image["RepoTags"]):
            return image_id, image
    return None, None


def pull(state, arguments):
    reference = arguments[-1]
    if state["pull_errors"]:
        message = state["pull_errors"].pop(0) if len(state["pull_errors"]) > 1 else state["pull_errors"][0]
        if message:
            save(state)
            fail(message)
    if reference not in state["registry"]:
        fail(f"Error response from daemon: manifest for {reference} not found: manifest unknown")
    image = dict(state["registry"][reference])
    state["images"][image["Id"]] = image
    print(reference)


def as_inspected(state, image):
    """What the two stores say differently (moby, daemon/containerd/image_inspect.go)."""
    if state["store"] == "containerd":
        names = [*image["RepoTags"], *image["RepoDigests"]]
        return image | {"RepoTags": names, "GraphDriver": {"Data": None, "Name": "overlayfs"}}
    return image


def remove_image(state, name):
    """A tag goes alone. With containerd's store a digest takes all tags of its repository along (moby,
    daemon/containerd/image_delete.go, getSameReferences).
    """
    image_id, image = find(state, name)
    if image is None:
        fail(f"Error: No such image: {name}")
    if name in image["RepoTags"] and (len(image["RepoTags"]) > 1 or image["RepoDigests"]):
        image["RepoTags"].remove(name)
    elif name in image["RepoDigests"] and image["RepoTags"] and state["store"] == "graph-driver":
        image["RepoDigests"].remove(name)
    elif image_id not in state["stuck_images"]:
        del state["images"][image_id]


def image_command(state, arguments):
    match arguments:
        case ["inspect", name]:
            _, image = find(state, name)
            if image is None:
                print("[]")
                fail(f"Error: No such image: {name}")
            print(json.dumps([as_inspected(state, image)]))
        case ["ls", *_]:
            print_lines(state["images"])
        case ["rm", *options]:
            remove_image(state, options[-1])
        case _:
            fail(f"docker image {arguments} is not emulated")


def container_command(state, arguments):
    match arguments:
        case ["inspect", name] if name in state["containers"]:
            print(json.dumps([state["containers"][name]]))
        case ["inspect", name]:
            print("[]")
            fail(f"Error: No such container: {name}")
        case _:
            fail(f"docker container {arguments} is not emulated")


def exec_command(state, arguments):
    _, shell, option, command = arguments
    sys.exit(subprocess.run([shell, option, command], check=False).returncode)  # noqa: S603 - a test's own command


def tag(state, arguments):
    source, target = arguments
    _, image = find(state, source)
    if target not in image["RepoTags"]:
        image["RepoTags"].append(target)


def remove_containers(state, arguments):
    for name in arguments:
        state["containers"].pop(name, None)


def info(state, arguments):
    if not state["daemon_up"]:
        fail("Cannot connect to the Docker daemon")
    settings = Path(os.environ["FAKE_ROOT"], "etc/docker/daemon.json")
    given = json.loads(settings.read_text()) if settings.exists() else {}
    told = {"DockerRootDir": given.get("data-root", "/var/lib/docker"), "DriverStatus": None}
    if state["store"] == "containerd":
        told["DriverStatus"] = [["driver-type", "io.containerd.snapshotter.v1"]]
        told["Containerd"] = {"Address": state["containerd_address"]}
    if arguments:
        print(json.dumps(told))


def volume_command(state, arguments):
    match arguments:
        case ["ls", "--quiet"]:
            print_lines(state["volumes"])
        case ["rm", "--force", *names]:
            state["volumes"] = [name for name in state["volumes"] if name not in names]
        case _:
            fail(f"docker volume {arguments} is not emulated")


def show_version(state, arguments):
    print("Docker version 27.5.1, build 27.5.1-0ubuntu3~22.04.2")


def list_containers(state, arguments):
    print_lines(state["containers"])


def show_log(state, arguments):
    if arguments[-1] not in state["containers"]:
        fail(f"Error response from daemon: No such container: {arguments[-1]}")
    print(state["container_log"])


COMMANDS = {
    "--version": show_version,
    "info": info,
    "pull": pull,
    "image": image_command,
    "container": container_command,
    "ps": list_containers,
    "rm": remove_containers,
    "tag": tag,
    "volume": volume_command,
    "logs": show_log,
    "exec": exec_command,
}


def save(state):
    new = STATE.with_name("docker.json.new")
    new.write_text(json.dumps(state, indent=1))
    new.replace(STATE)


with STATE.with_name("docker.lock").open("w") as lock:
    fcntl.flock(lock, fcntl.LOCK_EX)
    current = json.loads(STATE.read_text())
    COMMANDS[sys.argv[1]](current, sys.argv[2:])
    save(current)
