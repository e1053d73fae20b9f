"""Validation of `build_config.yml`: all problems, each with the path of the key.

Shared by the functions, `doctor` and `config validate`, so that all accept the same files.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, Final, NamedTuple, get_args

from pydantic import ValidationError

from ami_lifecycle.domain.alarm_settings import overlap
from ami_lifecycle.domain.forms import name_problem
from ami_lifecycle.domain.hooks import script_problems
from ami_lifecycle.domain.settings import EnvironmentSettings

KNOWN_KEYS: Final = frozenset({"application", "image_name", "image_tag", "defaults", "environments"})
TAG_TEMPLATE: Final = "{environment}-latest"
NAME_TEMPLATE: Final = "{application}-multitenant-{environment}"
# pydantic's messages for these use Python's terms.
_TO_WRITE: Final = {
    "model_type": "a mapping",
    "dict_type": "a mapping",
    "mapping_type": "a mapping",
    "tuple_type": "a list",
    "int_type": "a whole number",
    "bool_type": "true or false",
    "string_type": "text, in quotes where YAML reads something else",
}
# Stand in for what Parameter Store has, where only the file is looked at.
_SOME_REPOSITORY: Final = "repository"
# Fields of the settings that no part of the file sets, and where they come from.
_FROM_ELSEWHERE: Final = {
    "application": "the application has one name, at the top level of the file",
    "hook_scripts": "scripts are files below config/hooks/",
    "hook_programs": "documents are in Systems Manager, and hooks name them",
    "environment": "an environment's name is the key that its settings stand under",
}


class SettingProblem(NamedTuple):
    """The problem of one key. `path` is as in the file: `("environments", "prod", "builder", "iops")`."""

    path: tuple[str, ...]
    message: str

    def __str__(self) -> str:
        return f"{'.'.join(self.path)}: {self.message}" if self.path else self.message


def problems_of(build: Any, application: str | None = None) -> list[SettingProblem]:
    """All problems of the file, in its order; empty when it is valid.

    Values of Parameter Store (the repository, subnets, instance types) are not looked at.

    Args:
        build: the content of `build_config.yml` as it was read.
        application: the stack's name of the application, if known.
    """
    problems = structural_problems(build, application)
    if problems:
        return problems
    name = str(build.get("application") or application or "")
    found: dict[SettingProblem, None] = {}
    for environment in build["environments"]:
        values = settings_of(build, environment, name)
        values.setdefault("repository", _SOME_REPOSITORY)
        found |= dict.fromkeys(value_problems(build, environment, values))
    found |= dict.fromkeys(_shared(build, name))
    return list(found)


def structural_problems(build: Any, application: str | None = None) -> list[SettingProblem]:
    """Problems of the file's structure."""
    if not isinstance(build, Mapping):
        return [SettingProblem((), "config/build_config.yml is missing or empty; restore it from git")]
    problems = [
        SettingProblem(
            (str(key),),
            "is no key of the top level; did you mean defaults.tags, for every environment?"
            if key == "tags"
            else f"is an unknown key; {_suggested(str(key), KNOWN_KEYS)}build_config.yml knows {sorted(KNOWN_KEYS)} "
            "at the top level",
        )
        for key in build
        if key not in KNOWN_KEYS
    ]
    problems += _application_problems(build.get("application"), application)
    problems += [
        SettingProblem(
            (key,), f"is {build[key]!r:.120}; write text, in quotes where YAML reads something else"
        )
        for key in ("image_tag", "image_name")
        if build.get(key) is not None and not isinstance(build[key], str)
    ]
    problems += _mapping_problems(("defaults",), build.get("defaults"))
    environments = build.get("environments")
    if not isinstance(environments, Mapping) or not environments:
        return [
            *problems,
            SettingProblem(("environments",), "has no environments; add at least `environments: {prod: {}}`"),
        ]
    for name, own in environments.items():
        path = ("environments", str(name))
        problem = (
            name_problem(name) if isinstance(name, str) else f"{name!r} is no text; put the name in quotes"
        )
        if problem is not None:
            problems.append(SettingProblem(path, f"is not a valid name: {problem}"))
        problems += _mapping_problems(path, own)
    return problems


def _application_problems(own: Any, stacks: str | None) -> Iterator[SettingProblem]:
    path = ("application",)
    if own is not None and not isinstance(own, str):
        yield SettingProblem(path, f"is {own!r:.120}; write text, in quotes where YAML reads something else")
        return
    name = own or stacks
    if not name:
        yield SettingProblem(
            path, "is missing; write the name that the stack was deployed with (ApplicationName)"
        )
    elif problem := name_problem(name, is_application=True):
        yield SettingProblem(path, f"is {name!r}, which is not a valid name: {problem}")
    elif own and stacks and own != stacks:
        yield SettingProblem(
            path, f"is {own!r}, but the stack was deployed for {stacks!r}; make both the same"
        )


def _mapping_problems(path: tuple[str, ...], value: Any) -> list[SettingProblem]:
    if value is None:
        return []
    if not isinstance(value, Mapping):
        return [SettingProblem(path, f"is {value!r:.120}; write a mapping, or {{}} for the defaults")]
    return [
        SettingProblem((*path, key), f"is not set here: {place}; remove it")
        for key, place in _FROM_ELSEWHERE.items()
        if key in value
    ]


def settings_of(build: Mapping[str, Any], environment: str, application: str) -> dict[str, Any]:
    """An environment's values: its own on top of the defaults, with tag and image name filled in."""
    own = build["environments"][environment] or {}
    values = merged(build.get("defaults") or {}, own)
    # One thing, and not a mapping of settings: half of the defaults' base and half of another are no base.
    if "base" in own:
        values["base"] = own["base"]
    values["image_tag"] = text_of(build, "image_tag", TAG_TEMPLATE, environment, application)
    values["image_name"] = text_of(build, "image_name", NAME_TEMPLATE, environment, application)
    if (alarms := alarms_of(build, environment, application)) is not None:
        values["rollback_on_alarm"] = {**values["rollback_on_alarm"], "alarms": alarms}
    return values | {"application": application, "environment": environment}


def text_of(build: Mapping[str, Any], key: str, default: str, environment: str, application: str) -> Any:
    """A text that an environment sets, or the defaults, or the top level, with its placeholders filled."""
    places = (build["environments"][environment] or {}, build.get("defaults") or {}, build)
    pattern = next((place[key] for place in places if place.get(key) not in (None, "")), default)
    if not isinstance(pattern, str):
        return pattern
    return _filled(pattern, environment, application)


def _filled(pattern: str, environment: str, application: str) -> str:
    return pattern.replace("{application}", application).replace("{environment}", environment)


def alarms_of(build: Mapping[str, Any], environment: str, application: str) -> str | None:
    """The alarms that have a publication of an environment undone, as far as they are written as a text."""
    own, defaults = build["environments"][environment] or {}, build.get("defaults") or {}
    watched = merged(defaults, own).get("rollback_on_alarm")
    alarms = watched.get("alarms") if isinstance(watched, Mapping) else None
    return _filled(alarms, environment, application) if isinstance(alarms, str) else None


def takes_promotions(build: Mapping[str, Any], environment: str) -> bool:
    """Whether an environment publishes what is promoted to it, as it is written."""
    places = (build["environments"][environment] or {}, build.get("defaults") or {})
    return next((place["publishes"] for place in places if "publishes" in place), None) == "promotions"


def merged(defaults: Mapping[str, Any], own: Mapping[str, Any]) -> dict[str, Any]:
    """Own values on top of the defaults, at any depth."""
    result = dict(defaults)
    for key, value in own.items():
        below = result.get(key)
        both = isinstance(below, Mapping) and isinstance(value, Mapping)
        result[key] = merged(below, value) if both else value  # type: ignore[arg-type]
    return result


def value_problems(
    build: Mapping[str, Any], environment: str, values: Mapping[str, Any]
) -> Iterator[SettingProblem]:
    """Problems of an environment's values, with paths in the file."""
    try:
        EnvironmentSettings.model_validate(values)
    except ValidationError as error:
        places = [problem["loc"] for problem in error.errors(include_url=False)]
        for problem in error.errors(include_url=False):
            # pydantic counts the items that it has refused as missing.
            if problem["type"] == "too_short" and any(place[:-1] == problem["loc"] for place in places):
                continue
            where = tuple(str(part) for part in problem["loc"])
            message = problem["msg"].removeprefix("Value error, ")
            if problem["type"] in _TO_WRITE:
                message = f"write {_TO_WRITE[problem['type']]}"
            if problem["type"] == "extra_forbidden":
                message = _unknown(where)
            if problem["type"] == "extra_forbidden" and where[-1] == "tags":
                message = (
                    f"is not known here; did you mean tags, beside {where[0]} and not in it? They go on instances, "
                    "volumes, network interfaces, images, snapshots and parameters alike"
                )
            if problem["type"] == "literal_error":
                allowed = re.findall("'([^']+)'", problem["ctx"]["expected"])
                message = f"{_suggested(str(problem['input']), allowed)}{message}"
            if problem["type"] not in {"missing", "value_error"}:
                message = f"{message} (got {problem['input']!r:.120})"
            yield SettingProblem(_place(build, environment, where), message)


def hook_problems(
    build: Mapping[str, Any], environment: str, values: Mapping[str, Any]
) -> Iterator[SettingProblem]:
    """What is wrong with the scripts of an environment whose values are fine, with paths in the file."""
    settings = EnvironmentSettings.model_validate(values)
    for where, message in script_problems(settings.hooks, settings.hook_scripts):
        yield SettingProblem(_place(build, environment, where), message)


def _unknown(where: tuple[str, ...]) -> str:
    model: Any = EnvironmentSettings
    for name in where[:-1]:
        if not name.isdecimal():
            annotation = model.model_fields[name].annotation
            # Of a setting that may be left out, what it is otherwise; of a list, what its items are.
            model = next((each for each in get_args(annotation) if hasattr(each, "model_fields")), annotation)
    known = [field.alias or name for name, field in model.model_fields.items() if name not in _FROM_ELSEWHERE]
    return f"is an unknown key; {_suggested(where[-1], known)}the keys here are {', '.join(known)}"


def _suggested(word: str, known: Iterable[str]) -> str:
    close = difflib.get_close_matches(word, list(known), n=1)
    return f"did you mean {close[0]}? " if close else ""


def _place(build: Mapping[str, Any], environment: str, where: tuple[str, ...]) -> tuple[str, ...]:
    """Where in the file a value is set: for the environment, in the defaults, or at the top level."""
    own = ("environments", environment)
    for start, place in ((own, build["environments"][environment]), (("defaults",), build.get("defaults"))):
        if _reaches(place, where):
            return (*start, *where)
    # Only the tag and the image's name may stand at the top level as well.
    if where and where[0] in build:
        return where
    return (*own, *where)


def _reaches(place: Any, where: Sequence[str]) -> bool:
    for part in where:
        if isinstance(place, Mapping):
            if part not in place:
                return False
            place = place[part]
        elif isinstance(place, list):
            # An index names an item of the list that stands here.
            return True
        else:
            return place is not None
    return True


def _shared(build: Mapping[str, Any], application: str) -> Iterator[SettingProblem]:
    """Environments that would be built from the same tag, or whose images would have the same name."""

    def repository(name: str) -> Any:
        own = (build["environments"][name] or {}).get("repository")
        return own or (build.get("defaults") or {}).get("repository")

    yield from shared_tags(
        [name for name in build["environments"] if not takes_promotions(build, name)],
        lambda name: str(text_of(build, "image_tag", TAG_TEMPLATE, name, application)),
        repository,
    )
    yield from shared_names(
        list(build["environments"]),
        lambda name: str(text_of(build, "image_name", NAME_TEMPLATE, name, application)),
    )
    yield from shared_alarms(list(build["environments"]), lambda name: alarms_of(build, name, application))


def shared_tags(
    environments: Sequence[str], tag_of: Callable[[str], str], repository_of: Callable[[str], Any]
) -> Iterator[SettingProblem]:
    """Environments that are built from the same tag of the same repository."""
    by_tag: dict[str, list[str]] = {}
    for name in environments:
        by_tag.setdefault(tag_of(name), []).append(name)
    for tag, names in by_tag.items():
        # Repositories may be in Parameter Store, which is asked only where it matters.
        repositories = [repository_of(name) for name in names] if len(names) > 1 else []
        for position, repository in enumerate(repositories):
            if (first := repositories.index(repository)) < position:
                yield SettingProblem(
                    ("environments", names[position]),
                    f"{names[first]} and {names[position]} are both built from the tag {tag!r}; "
                    "give each an image_tag of its own",
                )


def shared_names(environments: Sequence[str], name_of: Callable[[str], str]) -> Iterator[SettingProblem]:
    """Environments whose images would have the same name."""
    owners: dict[str, str] = {}
    for name in environments:
        image_name = name_of(name)
        if image_name in owners:
            yield SettingProblem(
                ("environments", name),
                f"the images of environments {owners[image_name]} and {name} would both be named {image_name!r}, "
                "and EC2 allows one image of a name; give each an image_name of its own",
            )
        owners.setdefault(image_name, name)


def shared_alarms(
    environments: Sequence[str], alarms_of: Callable[[str], str | None]
) -> Iterator[SettingProblem]:
    """Environments that one alarm would roll back: it tells of one of them."""
    before: list[tuple[str, str]] = []
    for name in environments:
        alarms = alarms_of(name)
        if alarms is None:
            continue
        first = next((other for other, others in before if overlap(alarms, others)), None)
        if first is not None:
            yield SettingProblem(
                ("environments", name),
                f"an alarm could be of both {first} and {name}, by their rollback_on_alarm.alarms; give each alarms of "
                "its own, such as {environment}-comfyui-*",
            )
        before.append((name, alarms))
