"""Change the domain and the steps one expression at a time, and say which changes no unit test notices.

python scripts/mutants.py                              every module of domain and steps
python scripts/mutants.py domain.planning steps.clean* some of them
python scripts/mutants.py --survivors domain.planning  only what no test noticed the last time

It runs in the environment of `make mutants`. A package is held by its own tests: a change of the domain that only a
test of a step notices counts as a survivor, and so one mutant takes a fraction of a second. mutmut works on a copy
below build/mutants, because it wants the package in a folder `src`; what it found stays there, so that `--survivors`
is fast while tests are being written. `mutant_trials.py` tries the mutants.

Survivors that behave as the original are listed, with the reason, in tests/unit/equivalent_mutants.yaml. The exit
status is 1 while a survivor is not listed, or while an entry matches no survivor any more.
"""

from __future__ import annotations

import argparse
import filecmp
import fnmatch
import json
import math
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, NamedTuple

import yaml

ROOT: Final = Path(__file__).resolve().parents[1]
WORKSPACE: Final = ROOT / "build" / "mutants"
LISTED: Final = ROOT / "tests" / "unit" / "equivalent_mutants.yaml"
PACKAGE: Final = ROOT / "layers" / "ami_lifecycle" / "ami_lifecycle"
PACKAGES: Final = ("domain", "steps")
# Everything that a unit test reads, beside the package.
COPIED: Final = ("config", "documents", "events", "functions", "statemachines", "tests", "template.yaml")
# These end a build at each of its calls: nine tenths of the time for cases that seldom notice what no other does.
# What they alone notice counts as a survivor.
LEFT_OUT: Final = (
    "tests/unit/steps/test_faults.py",
    "tests/unit/steps/test_stopped_builds.py",
    "tests/unit/steps/test_claim_races.py",
)
TRIALS: Final = Path(__file__).with_name("mutant_trials.py")
# What the trials write down, beside mutmut's own.
FOUND: Final = "found.json"
KILLED: Final = ("killed", "timeout")
_SETTINGS: Final = """
[tool.mutmut]
source_paths = ["src"]
only_mutate = ["src/ami_lifecycle/{package}/*"]
also_copy = {copied}
use_git_change_detection = false
on_dependency_change = "ignore"
"""


class Change(NamedTuple):
    """What a mutant replaces, without indentation: stable while code around it moves."""

    function: str
    was: str
    now: str


@dataclass(frozen=True)
class Mutant:
    """One changed function, what the tests made of it, and the lines that changed where it survived."""

    name: str
    status: str
    diff: tuple[str, ...] = ()

    @property
    def module(self) -> str:
        """The module within the package, as `domain.planning`."""
        return self.name.rpartition(".")[0].removeprefix("ami_lifecycle.")

    @property
    def is_killed(self) -> bool:
        """Whether a test noticed the change, or waited for it in vain."""
        return self.status in KILLED

    @property
    def function(self) -> str:
        """The function as people write it: `decide`, or `Planner.plan`."""
        mangled = self.name.rpartition(".")[2].rpartition("__mutmut_")[0]
        return mangled.removeprefix("x_") if mangled.startswith("x_") else mangled[2:].replace("ǁ", ".")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run, report, and say whether a survivor is left that nobody has explained."""
    options = _options(arguments)
    listed = read_listed(LISTED)
    patterns = options.modules or [f"{package}.*" for package in PACKAGES]
    tried: list[Mutant] = []
    for package in PACKAGES:
        of_package = [pattern for pattern in patterns if _modules(package, pattern)]
        if of_package:
            tried += _run(package, of_package, options)
    return report(tried, listed, patterns)


def _run(package: str, patterns: Sequence[str], options: argparse.Namespace) -> list[Mutant]:
    """Try the mutants of a package, and return the results of those that were asked for."""
    workspace = WORKSPACE / package
    _copy(package, workspace)
    tests = [
        f"tests/unit/{package}",
        *(f"--ignore={path}" for path in LEFT_OUT),
        # The same examples each time: what is noticed by chance is not noticed.
        "--hypothesis-profile=mutants",
        *("-pno:cacheprovider", "-pno:xdist"),
    ]
    command = [
        *(sys.executable, str(TRIALS), "--jobs", str(options.jobs), "--seconds", str(options.seconds)),
        *(["--left"] if options.survivors else []),
        *(f"--tests={argument}" for argument in tests),
        *(f"ami_lifecycle.{module}.x*" for pattern in patterns for module in _modules(package, pattern)),
    ]
    log = workspace / "run.log"
    with log.open("w", encoding="utf-8") as output:
        ended = subprocess.run(command, cwd=workspace, check=False, stdout=output, stderr=output)  # noqa: S603 - our own
    if ended.returncode:
        raise SystemExit(f"the trials ended with status {ended.returncode}; see {log}")
    return _results(workspace)


def _modules(package: str, pattern: str) -> list[str]:
    known = sorted(
        f"{package}.{path.stem}" for path in (PACKAGE / package).glob("*.py") if path.stem != "__init__"
    )
    return fnmatch.filter(known, pattern)


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("modules", nargs="*", help="for example domain.planning or steps.clean*")
    parser.add_argument("--survivors", action="store_true", help="only what no test noticed the last time")
    parser.add_argument("--jobs", type=int, default=2, help="mutants tried at once (2)")
    parser.add_argument(
        "--seconds",
        type=float,
        default=math.inf,
        help="of the tests of a mutant, the quickest that take so long together",
    )
    options = parser.parse_args(arguments)
    for pattern in options.modules:
        if not any(_modules(package, pattern) for package in PACKAGES):
            known = ", ".join(module for package in PACKAGES for module in _modules(package, "*"))
            parser.error(f"{pattern} is none of {known}")
    return options


# --------------------------------------------------------------------------------------------- the copy


def _copy(package: str, workspace: Path) -> None:
    """Bring the copy up to date; what has not changed keeps its time, by which mutmut knows it."""
    _mirror(PACKAGE, workspace / "src" / "ami_lifecycle")
    for name in COPIED:
        _mirror(ROOT / name, workspace / name)
    settings = _SETTINGS.format(package=package, copied=json.dumps(COPIED))
    project = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    (workspace / "pyproject.toml").write_text(project + settings, encoding="utf-8")
    # mutmut adds files to its own copy and takes none away.
    for name in ("tests", "src"):
        _remove_deleted(workspace / name, workspace / "mutants" / name)


def _mirror(source: Path, target: Path) -> None:
    if source.is_file():
        target.parent.mkdir(parents=True, exist_ok=True)
        if not target.exists() or not filecmp.cmp(source, target, shallow=False):
            shutil.copyfile(source, target)
        return
    for path in _files(source):
        _mirror(path, target / path.relative_to(source))
    _remove_deleted(source, target)


def _remove_deleted(source: Path, target: Path) -> None:
    for path in _files(target):
        if path.suffix == ".py" and not (source / path.relative_to(target)).exists():
            path.unlink()


def _files(folder: Path) -> Iterator[Path]:
    return (path for path in folder.rglob("*") if path.is_file() and "__pycache__" not in path.parts)


# --------------------------------------------------------------------------------------------- the results


def _results(workspace: Path) -> list[Mutant]:
    """Read what is known of each mutant that was asked for."""
    found = json.loads((workspace / FOUND).read_text(encoding="utf-8"))
    return [Mutant(each["name"], each["status"], tuple(each["diff"])) for each in found]


def change_of(mutant: Mutant) -> Change:
    """The mutant's change in a form that survives a renumbering of mutants."""
    was, now = (" ".join(line[1:].strip() for line in mutant.diff if line[0] == sign) for sign in "-+")
    return Change(f"{mutant.module}.{mutant.function}", was, now)


def read_listed(path: Path) -> dict[Change, str]:
    """Read the survivors that behave as the original; each with a reason."""
    listed: dict[Change, str] = {}
    for entry in yaml.safe_load(path.read_text(encoding="utf-8")) or []:
        if set(entry) != {"function", "was", "now", "reason"} or not str(entry["reason"]).strip():
            raise SystemExit(f"{path.name}: an entry has function, was, now and a reason: {entry}")
        listed[Change(entry["function"], entry["was"], entry["now"])] = entry["reason"]
    return listed


def report(tried: Sequence[Mutant], listed: dict[Change, str], patterns: Sequence[str]) -> int:
    """Print the survivors with their changes, entries that are stale, and the summary by module."""
    changes = {mutant: change_of(mutant) for mutant in tried if not mutant.is_killed}
    equivalent = {mutant for mutant, change in changes.items() if change in listed}
    left = [mutant for mutant in changes if mutant not in equivalent]
    for mutant in left:
        print(f"\n{mutant.module}: {mutant.function} ({mutant.status}, {mutant.name})")
        print("\n".join(mutant.diff))
    stale = _stale(listed, set(changes.values()), patterns)
    for change in stale:
        print(
            f"\n{LISTED.name}: no survivor is {change.function}: {change.was!r} -> {change.now!r}; remove the entry."
        )
    print()
    _print_summary(tried, equivalent)
    return 1 if left or stale else 0


def _stale(listed: dict[Change, str], survived: set[Change], patterns: Sequence[str]) -> list[Change]:
    def is_chosen(change: Change) -> bool:
        module = ".".join(change.function.split(".")[:2])
        return any(fnmatch.fnmatch(module, pattern) for pattern in patterns)

    return [change for change in listed if is_chosen(change) and change not in survived]


def _print_summary(tried: Sequence[Mutant], equivalent: set[Mutant]) -> None:
    titles = ("mutants", "killed", "timeout", "survived", "no tests", "equivalent", "score")
    print(f"{'module':<32}" + "".join(f"{title:>12}" for title in titles))
    modules = sorted({mutant.module for mutant in tried})
    for module in [*modules, "all"]:
        chosen = [mutant for mutant in tried if module in (mutant.module, "all")]
        count = Counter("equivalent" if mutant in equivalent else mutant.status for mutant in chosen)
        killed = sum(count[status] for status in KILLED)
        counted = len(chosen) - count["equivalent"]
        other = counted - killed - count["no tests"]
        score = f"{100 * killed / counted:.1f} %" if counted else "-"
        figures = (
            len(chosen),
            count["killed"],
            count["timeout"],
            other,
            count["no tests"],
            count["equivalent"],
            score,
        )
        print(f"{module:<32}" + "".join(f"{figure:>12}" for figure in figures))


if __name__ == "__main__":
    sys.exit(main())
