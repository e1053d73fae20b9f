"""Try mutants of one room, in the copy that `mutants.py` made; it is started there and by nothing else.

mutmut makes the mutants and keeps what was found. The trials are run here, because mutmut lets pytest collect anew for
each mutant: here the tests are collected once, and each mutant is tried in a fork of that process, in a hundredth of a
second where a test soon fails. The tests that found another change of the same function come first, then those in the
module's own file, then the quick ones.

Which tests reach which function is measured once, and again for the files that have changed.
"""

from __future__ import annotations

import argparse
import gc
import hashlib
import json
import math
import os
import resource
import signal
import sys
import time
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatch
from pathlib import Path
from typing import Any, Final

import pydantic
import pytest
from mutmut.__main__ import copy_also_copy_files, copy_src_dir, create_mutants
from mutmut.mutation import trampoline
from mutmut.mutation.data import SourceFileMutationData
from mutmut.mutation.diff_apply import get_diff_for_mutant
from mutmut.stats import status_by_exit_code
from mutmut.utils.file_utils import setup_source_paths, walk_mutatable_files

# What mutmut itself writes down for these, and shows in `mutmut results`.
KILLED: Final = 1
SURVIVED: Final = 0
NO_TESTS: Final = 33
TIMEOUT: Final = 36
MEASURED: Final = "reached.json"
FOUND: Final = "found.json"
# A test that needs ten times its time and five seconds of processor time goes on for ever. One that waits for something
# that never comes uses no processor; a busy machine must not look like that.
ENDLESS: Final = (10.0, 5.0)
STUCK: Final = (100.0, 60.0)
MOST_MEMORY: Final = 8 * 1024**3
SAVE_EVERY: Final = 10.0


@dataclass(frozen=True)
class Reach:
    """How long a test takes, and which functions it reaches."""

    seconds: float
    functions: frozenset[str]


@dataclass
class Trials:
    """A plugin that tries mutants in place of running the tests that pytest has collected."""

    names: Sequence[str]
    jobs: int
    workspace: Path
    sources: Mapping[str, SourceFileMutationData]
    seconds: float
    passed: bool = False
    _found_by: defaultdict[str, list[str]] = field(default_factory=lambda: defaultdict(list))

    def pytest_runtestloop(self, session: pytest.Session) -> bool:
        """Measure what the tests reach, and try each mutant with those that reach it."""
        if session.testsfailed:
            raise session.Failed("a test file cannot be read")
        items = {item.nodeid: item for item in session.items}
        reach = self._reach(session, items)
        by_function: defaultdict[str, list[str]] = defaultdict(list)
        for test in sorted(reach, key=lambda test: (reach[test].seconds, test)):
            for function in reach[test].functions:
                by_function[function].append(test)
        if not by_function:
            raise session.Failed("no test reaches a function that is changed: is another copy imported?")
        _build_models()
        # The children change nothing in what was collected, so that its pages stay shared.
        gc.freeze()
        self._try_all(session, items, reach, by_function)
        self.passed = True
        return True

    # ------------------------------------------------------------------------------------- what is reached

    def _reach(self, session: pytest.Session, items: Mapping[str, pytest.Item]) -> dict[str, Reach]:
        path = self.workspace / MEASURED
        known = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
        shared = _digest(sorted(Path("src").rglob("*.py")) + sorted(_helpers(Path("tests"))))
        by_file: defaultdict[str, list[str]] = defaultdict(list)
        for test in items:
            by_file[test.partition("::")[0]].append(test)
        digests = {file: _digest([Path(file)]) + shared for file in by_file}
        stale = [file for file, digest in digests.items() if known.get(file, {}).get("digest") != digest]
        measured = self._measure(session, [items[test] for file in stale for test in by_file[file]])
        for file in stale:
            known[file] = {
                "digest": digests[file],
                "tests": {test: measured[test] for test in by_file[file]},
            }
        path.write_text(json.dumps({file: known[file] for file in by_file}), encoding="utf-8")
        return {
            test: Reach(seconds, frozenset(functions))
            for file in by_file
            for test, (seconds, functions) in known[file]["tests"].items()
        }

    def _measure(self, session: pytest.Session, items: Sequence[pytest.Item]) -> dict[str, Any]:
        """Run tests in a child without a mutant; none may fail."""
        if not items:
            return {}
        found = self.workspace / "measured.json"
        found.unlink(missing_ok=True)
        child = os.fork()
        if child == 0:
            measured: dict[str, Any] = {}
            functions: set[str] = set()
            # mutmut's own way asks for the whole stack of each call, which takes three times as long.
            trampoline.record_trampoline_hit = lambda name, caller=None: functions.add(name)  # noqa: ARG005 - its name
            trampoline.set_mutant_under_test("stats")
            for item, following in zip(items, [*items[1:], None], strict=True):
                functions.clear()
                begun = time.perf_counter()
                item.config.hook.pytest_runtest_protocol(item=item, nextitem=following)
                measured[item.nodeid] = (round(time.perf_counter() - begun, 4), sorted(functions))
                if session.testsfailed:
                    print(f"fails without a mutant: {item.nodeid}", flush=True)
                    os._exit(1)
            found.write_text(json.dumps(measured), encoding="utf-8")
            os._exit(0)
        _, status = os.waitpid(child, 0)
        if status:
            raise session.Failed("tests fail without a mutant")
        return dict(json.loads(found.read_text(encoding="utf-8")))

    # ------------------------------------------------------------------------------------------ the trials

    def _try_all(
        self,
        session: pytest.Session,
        items: Mapping[str, pytest.Item],
        reach: Mapping[str, Reach],
        by_function: Mapping[str, Sequence[str]],
    ) -> None:
        running: dict[int, tuple[str, int]] = {}
        waiting = list(reversed(self.names))
        saved = time.monotonic()
        done = 0
        while waiting or running:
            while waiting and len(running) < self.jobs:
                name = waiting.pop()
                function = _function(name)
                tests = by_function.get(function, ())
                if not tests:
                    self._note(name, NO_TESTS)
                    continue
                found = self._found_by[function]
                own = [test for test in tests if test not in found and _is_about(test, function)]
                others = [test for test in tests if test not in {*found, *own}]
                order = [
                    *found,
                    *_quickest(own, reach, self.seconds),
                    *_quickest(others, reach, self.seconds),
                ]
                reading, writing = os.pipe()
                child = os.fork()
                if child == 0:
                    os.close(reading)
                    _try(session, name, [items[test] for test in order], reach, writing)
                os.close(writing)
                running[child] = (name, reading)
            if running:
                child, status = os.wait()
                name, reading = running.pop(child)
                with os.fdopen(reading, encoding="utf-8") as answer:
                    self._ended(name, status, answer.read())
                done += 1
            if time.monotonic() - saved > SAVE_EVERY or not (waiting or running):
                print(f"{time.strftime('%X')} {done} of {len(self.names)}", flush=True)
                self._save()
                saved = time.monotonic()

    def _ended(self, name: str, status: int, failed: str) -> None:
        if os.WIFSIGNALED(status):
            self._note(name, TIMEOUT if os.WTERMSIG(status) in (signal.SIGPROF, signal.SIGALRM) else KILLED)
            return
        self._note(name, os.waitstatus_to_exitcode(status))
        if failed:
            found = self._found_by[_function(name)]
            if failed in found:
                found.remove(failed)
            found.insert(0, failed)

    def _note(self, name: str, code: int) -> None:
        self.sources[name.rpartition(".")[0]].exit_code_by_key[name] = code

    def _save(self) -> None:
        """Put each file in its place whole: whoever ends the run at any moment goes on where it was."""
        for data in dict.fromkeys(self.sources.values()):
            path = data.meta_path
            data.meta_path = path.with_suffix(".new")
            data.save()
            data.meta_path.replace(path)
            data.meta_path = path


def _try(
    session: pytest.Session,
    name: str,
    items: Sequence[pytest.Item],
    reach: Mapping[str, Reach],
    writing: int,
) -> None:
    """Run tests with a mutant until one fails, in a process of their own; never returns."""
    nothing = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nothing, 1)
    os.dup2(nothing, 2)
    resource.setrlimit(resource.RLIMIT_AS, (MOST_MEMORY, MOST_MEMORY))
    trampoline.set_mutant_under_test(name)
    code = SURVIVED
    try:
        for item, following in zip(items, [*items[1:], None], strict=True):
            seconds = reach[item.nodeid].seconds
            signal.setitimer(signal.ITIMER_PROF, seconds * ENDLESS[0] + ENDLESS[1])
            signal.setitimer(signal.ITIMER_REAL, seconds * STUCK[0] + STUCK[1])
            item.config.hook.pytest_runtest_protocol(item=item, nextitem=following)
            if session.testsfailed:
                os.write(writing, item.nodeid.encode())
                code = KILLED
                break
    except BaseException:  # noqa: BLE001 - whatever a mutant makes of pytest itself, it was noticed
        code = KILLED
    os._exit(code)


def _is_about(test: str, function: str) -> bool:
    """Whether the test's file is named after the function's module, or after its first words."""
    module = function.split(".")[-2]
    return module.startswith(Path(test.partition("::")[0]).stem.removeprefix("test_"))


def _quickest(tests: Iterable[str], reach: Mapping[str, Reach], seconds: float) -> Iterator[str]:
    """The first of the tests, which come by their time, that take so long together."""
    for test in tests:
        yield test
        seconds -= reach[test].seconds
        if seconds < 0:
            return


def _build_models() -> None:
    """Build pydantic's models here: the package leaves that to their first use, which would be in each child anew."""
    waiting: list[type[pydantic.BaseModel]] = [pydantic.BaseModel]
    while waiting:
        model = waiting.pop()
        waiting += model.__subclasses__()
        if not model.__pydantic_complete__ and model.__module__.startswith("ami_lifecycle"):
            model.model_rebuild()


def _function(mutant: str) -> str:
    return mutant.partition("__mutmut_")[0]


def _helpers(folder: Path) -> Iterable[Path]:
    return (path for path in folder.rglob("*.py") if not path.name.startswith("test_"))


def _digest(paths: Iterable[Path]) -> str:
    digest = hashlib.sha256()
    for path in paths:
        digest.update(path.read_bytes())
    return digest.hexdigest()


def _sources(workspace: Path) -> dict[str, SourceFileMutationData]:
    """What mutmut knows of each file, by the module's name."""
    sources = {}
    for path in walk_mutatable_files():
        data = SourceFileMutationData(path=path)
        data.load()
        # The trials run one folder below.
        data.meta_path = workspace / data.meta_path
        for name in data.exit_code_by_key:
            sources[name.rpartition(".")[0]] = data
    return sources


def _write_found(
    workspace: Path, sources: Mapping[str, SourceFileMutationData], patterns: Sequence[str]
) -> None:
    """Write down what is known of the mutants that were asked for, with the lines that each survivor changes."""
    found = []
    for data in dict.fromkeys(sources.values()):
        for name, code in data.exit_code_by_key.items():
            if any(fnmatch(name, pattern) for pattern in patterns):
                lines = (
                    []
                    if code in (KILLED, TIMEOUT)
                    else get_diff_for_mutant(name, path=data.path).splitlines()
                )
                changed = [line for line in lines if line[:1] in "+-" and line[:3] not in ("---", "+++")]
                found.append({"name": name, "status": status_by_exit_code[code], "diff": changed})
    (workspace / FOUND).write_text(json.dumps(found, indent=1), encoding="utf-8")


def main() -> int:
    """Make the mutants, and try those that were asked for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--jobs", type=int, required=True)
    parser.add_argument("--left", action="store_true", help="only what no test is known to notice")
    parser.add_argument(
        "--seconds", type=float, default=math.inf, help="the most that the tests of a mutant take"
    )
    parser.add_argument("--tests", action="append", required=True, help="an argument for pytest")
    parser.add_argument("patterns", nargs="+", help="names of mutants, with wildcards")
    options = parser.parse_args()

    workspace = Path.cwd()
    trampoline.set_mutant_under_test("mutant_generation")
    (workspace / "mutants").mkdir(exist_ok=True)
    copy_src_dir()
    copy_also_copy_files()
    setup_source_paths()
    create_mutants(options.jobs)
    sources = _sources(workspace)
    names = [
        name
        for data in dict.fromkeys(sources.values())
        for name, code in data.exit_code_by_key.items()
        if any(fnmatch(name, pattern) for pattern in options.patterns)
        and not (options.left and code in (KILLED, TIMEOUT))
    ]
    trials = Trials(names, options.jobs, workspace, sources, options.seconds)
    if names:
        os.chdir(workspace / "mutants")
        trampoline.set_mutant_under_test("")
        pytest.main(["--rootdir=.", "--tb=no", "--quiet", "--capture=no", *options.tests], plugins=[trials])
        os.chdir(workspace)
    _write_found(workspace, sources, options.patterns)
    return 0 if trials.passed or not names else 1


if __name__ == "__main__":
    sys.exit(main())
