"""`load_config` and `Config`: what applications use.

config = load_config(config_dir="config", ssm_client=ssm_client)
instance_id = config.get("aws.ec2.instance_id")
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from parameter_config.clients import client_maker
from parameter_config.declarations import Declaration
from parameter_config.documents import Documents, Node, read_documents
from parameter_config.errors import CredentialsError, InvalidDeclarationError, SecretNotFoundError
from parameter_config.models import Model, bind
from parameter_config.names import check_placeholder_value
from parameter_config.parameter_cache import ParameterCache
from parameter_config.parameter_store import ParameterStore
from parameter_config.rate_limit import Clock, MonotonicClock
from parameter_config.resolution import Nowhere, Resolver, Source
from parameter_config.schema import RESERVED_PREFIXES
from parameter_config.secrets_manager import SecretCache, SecretStore
from parameter_config.sensitive import Sensitive
from parameter_config.variables import Variables


class Section(Mapping[str, Any]):
    """A mapping of a configuration: `section["key"]`, `section.key` and `section.get("key.below")`.

    Values are looked up when they are asked for. A declared parameter without a value is None.
    """

    def __init__(self, resolver: Resolver, path: tuple[str, ...] = ()) -> None:
        self._section_resolver = resolver
        self._section_path = path

    def get(self, path: str, default: Any = None) -> Any:
        """Look a value up: Parameter Store's, else the declared default, else `default`.

        Args:
            path: dotted, relative to this section; list items count from 0. A key may have dots itself. The
                path of a mapping or a list gives a plain copy of it with every value resolved.
            default: given back where there is no value; that is no error.

        Raises:
            ConfigError: the value cannot be read, or is not what its declaration says.
        """
        node = self._section_resolver.find_path(path, self._section_path)
        value = None if isinstance(node, Nowhere) else self._section_resolver.resolve(node)
        return default if value is None else value

    def require(self, path: str) -> Any:
        """Look a value up as `get` does, and insist on it.

        Raises:
            MissingValueError: there is none; the message has the command that creates it.
            ConfigError: see `get`.
        """
        value = self.get(path)
        if value is None:
            raise self._section_resolver.missing(path, self._section_path)
        return value

    def source(self, path: str) -> Source:
        """Where the value at a dotted path comes from, with the parameter's version."""
        return self._section_resolver.source(path, self._section_path)

    def resolve(self) -> dict[str, Any]:
        """This whole section as plain dictionaries, lists and values."""
        return {key: self._section_resolver.resolve(node) for key, node in self._section_node().items()}

    def bind(self, model: type[Model]) -> Model:
        """This section as a pydantic model: `config.training.bind(Training)`.

        Names of fields are keys; a declared value that is not set leaves the field its default. A sensitive value
        needs a `SecretStr`, because other fields are shown wherever the model is.

        Raises:
            MissingValueError: a declared value that the model needs is not set; the message has the command.
            ModelMismatchError: values do not fit; the message names all of them, with file and line.
            ConfigError: see `get`.
        """
        return bind(self._section_resolver, self._section_path, model)

    def __getitem__(self, key: str) -> Any:
        # An empty path is the section itself, and no key of it.
        path = (
            self._section_resolver.locate(key, self._section_path) if key and isinstance(key, str) else None
        )
        node = Nowhere() if path is None else self._section_resolver.find(path)
        if path is None or isinstance(node, Nowhere):
            raise KeyError(key)
        if isinstance(node, dict):
            return Section(self._section_resolver, path)
        return self._section_resolver.resolve(node)

    def __getattr__(self, name: str) -> Any:
        # A copy that is being made has no attributes yet, and asks for special methods.
        if name.startswith(RESERVED_PREFIXES):
            raise AttributeError(name)
        try:
            return self[name]
        except KeyError:
            raise AttributeError(f"{self!r} has no {name!r}") from None

    def __iter__(self) -> Iterator[str]:
        return iter(self._section_node())

    def __len__(self) -> int:
        return len(self._section_node())

    def __contains__(self, key: object) -> bool:
        return (
            isinstance(key, str)
            and key != ""
            and self._section_resolver.locate(key, self._section_path) is not None
        )

    def __repr__(self) -> str:
        directory = self._section_resolver.documents.directory
        return f"{type(self).__name__}({'.'.join(self._section_path) or str(directory)!r})"

    def _section_node(self) -> dict[str, Node]:
        node = self._section_resolver.find(self._section_path)
        assert isinstance(node, dict)  # noqa: S101  # a Section is only made of a mapping
        return node


class Config(Section):
    """A configuration: the files of one directory, with values from Parameter Store.

    One Config can serve a whole process: it reads each value once per `ttl_seconds`, from any number of
    threads. Values marked sensitive are `Sensitive` strings, which `repr` does not show.
    """

    def __init__(
        self,
        documents: Documents,
        parameters: ParameterCache,
        secrets: SecretCache,
        *,
        environment: str | None = None,
        application: str | None = None,
        variables: Variables | None = None,
    ) -> None:
        for kind, value in (("environment", environment), ("application", application)):
            if value is not None:
                check_placeholder_value(kind, value)
        placeholders = {"environment": environment, "application": application}
        super().__init__(Resolver(documents, parameters, placeholders, variables))
        self._section_secrets = secrets

    @property
    def declarations(self) -> tuple[Declaration, ...]:
        """Every declared parameter, in the order of the files."""
        return self._section_resolver.documents.declarations

    @property
    def parameter_store(self) -> ParameterStore:
        """Parameter Store itself, to write to.

        Raises:
            CredentialsError: the configuration was loaded offline.
        """
        store = self._section_resolver.parameters.store
        if store is None:
            raise CredentialsError("The configuration is offline.", remedy="Load it without offline=True.")
        return store

    @property
    def resolver(self) -> Resolver:
        """What looks values up; for code that works on declarations, such as the command line."""
        return self._section_resolver

    def for_environment(self, environment: str, application: str | None = None) -> Config:
        """The same files and the same cache for another environment."""
        return Config(
            self._section_resolver.documents,
            self._section_resolver.parameters,
            self._section_secrets,
            environment=environment,
            application=application or self._section_resolver.placeholders["application"],
            variables=self._section_resolver.variables,
        )

    def secret(self, path: str) -> Sensitive:
        """The content of the Secrets Manager secret whose name is the value at `path`.

        Raises:
            InvalidDeclarationError: the path is not declared with `secret: true`.
            MissingValueError: the name of the secret is not set.
            SecretNotFoundError: Secrets Manager has no such secret.
            ConfigError: see `get`.
        """
        node = self._section_resolver.find_path(path)
        if isinstance(node, Nowhere):
            raise self._section_resolver.missing(path)
        if not isinstance(node, Declaration) or not node.schema.secret:
            raise InvalidDeclarationError(
                f"{path} is not the name of a secret.",
                remedy="Add `secret: true` to its declaration, or read it with get().",
                location=node.location if isinstance(node, Declaration) else None,
            )
        name = self.require(path)
        try:
            return self._section_secrets.read(name)
        except SecretNotFoundError as error:
            raise SecretNotFoundError(
                f"{path} names the secret {name!r}, which Secrets Manager does not have.",
                remedy=error.remedy,
                location=node.location,
            ) from error

    def refresh(self) -> None:
        """Have every value read again when it is next needed."""
        self._section_resolver.parameters.expire()
        self._section_secrets.expire()


def load_config(
    config_dir: str | Path = "config",
    ssm_client: Any = None,
    environment: str | None = None,
    application: str | None = None,
    *,
    secrets_client: Any = None,
    ttl_seconds: float = 300.0,
    allow_stale: bool = False,
    offline: bool = False,
    variable_prefix: str | None = None,
    clock: Clock | None = None,
) -> Config:
    """Read the files of a configuration directory; values follow when they are asked for.

    The first value that is needed from Parameter Store brings all of them, ten to a call. Plain YAML
    values need no call and no credentials.

    Args:
        config_dir: directory of the `<name>_config.yml` files; each is the namespace `<name>`.
        ssm_client: boto3 SSM client; without it one is made of the default session, when needed.
        environment: fills `{environment}` in `ssm_param`.
        application: fills `{application}`; without it, the plain value `application` at the top of a file.
        secrets_client: boto3 Secrets Manager client, for `Config.secret`.
        ttl_seconds: how long values are kept in memory.
        allow_stale: serve values past their time, with a warning in the log, while AWS does not answer.
        offline: never ask Parameter Store; values are the defaults.
        variable_prefix: environment variables go before Parameter Store: with `APP_`, `APP_AWS_EC2_SIZE` is the
            value of `aws.ec2.size`, if that is declared. With "" there is no prefix. Without it, none is read.
        clock: the time to measure and wait by.

    Raises:
        ConfigInputError: a file is wrong; the message has file, line and remedy.
    """
    documents = read_documents(config_dir)
    variables = None if variable_prefix is None else Variables(variable_prefix)
    if variables is not None:
        variables.check(documents.declarations)
    the_clock = clock or MonotonicClock()
    store = None if offline else ParameterStore(client_maker("ssm", ssm_client), the_clock)
    make_secrets_client: Callable[[], Any] = client_maker("secretsmanager", secrets_client)
    return Config(
        documents,
        ParameterCache(store, ttl_seconds, allow_stale),
        SecretCache(SecretStore(make_secrets_client), ttl_seconds, the_clock),
        environment=environment,
        application=application or _declared_application(documents),
        variables=variables,
    )


def _declared_application(documents: Documents) -> str | None:
    for namespace in documents.tree.values():
        if isinstance(namespace, dict) and isinstance(found := namespace.get("application"), str):
            return found
    return None
