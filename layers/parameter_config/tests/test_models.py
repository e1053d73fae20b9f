"""Values as a pydantic model: what fits, what is told where it does not, and what must not be shown."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pytest
from pydantic import BaseModel, ConfigDict, Field, SecretStr, field_validator

from parameter_config import Config, MissingValueError, load_config
from parameter_config.errors import InvalidDeclarationError, ModelMismatchError

from .conftest import WriteConfig
from .fake_aws import FakeSsm

AWS = """
    ec2:
      id: {ssm_param: /app/id}
      size: {ssm_param: /app/size, default: 100}
      zone: {ssm_param: /app/zone, optional: true}
    key: {ssm_param: /app/key, sensitive: true}
    """
TRAINING = """
    rate: 1e-4
    lora: {r: 16, modules: [q, v]}
    """


class Ec2(BaseModel):
    id: str
    size: int = Field(gt=0)
    zone: str = "a"


class Lora(BaseModel):
    model_config = ConfigDict(extra="forbid")

    r: int
    modules: list[str]


class More(BaseModel):
    more: int


class Training(BaseModel):
    rate: float
    lora: Lora


class Aws(BaseModel):
    ec2: Ec2
    key: SecretStr


class Everything(BaseModel):
    aws: Aws
    training: Training


@pytest.fixture
def config(write_config: WriteConfig, ssm: FakeSsm) -> Config:
    ssm.put("/app/id", "i-1")
    ssm.put("/app/key", "hush", kind="SecureString")
    return load_config(write_config(aws=AWS, training=TRAINING), ssm, clock=ssm.clock)


def test_a_section_and_the_whole_are_models(config: Config) -> None:
    assert config["training"].bind(Training) == Training(rate=1e-4, lora=Lora(r=16, modules=["q", "v"]))
    assert config["aws"].ec2.bind(Ec2) == Ec2(id="i-1", size=100, zone="a")
    found = config.bind(Everything)
    assert found.aws.key.get_secret_value() == "hush"
    assert "hush" not in repr(found)


def test_a_dataclass_is_checked_as_well(config: Config) -> None:
    @dataclass
    class Plain:
        id: str
        size: int

    assert config["aws"].ec2.bind(Plain) == Plain("i-1", 100)


def test_a_needed_value_that_is_not_set_has_its_command(write_config: WriteConfig, ssm: FakeSsm) -> None:
    config = load_config(write_config(aws=AWS), ssm, clock=ssm.clock)
    with pytest.raises(MissingValueError, match=r"aws\.ec2\.id has no value.*config set aws\.ec2\.id"):
        config["aws"].ec2.bind(Ec2)


def test_all_that_does_not_fit_is_named_with_its_place(write_config: WriteConfig, ssm: FakeSsm) -> None:
    text = "rate: fast\nlora:\n  r: 16\n  modules: [q]\n  alpha: 1\n"
    config = load_config(write_config(training=text), ssm, clock=ssm.clock)
    with pytest.raises(ModelMismatchError) as caught:
        config["training"].bind(Training)
    told = str(caught.value)
    assert "do not fit Training" in told
    assert "training.rate (" in told
    assert "training_config.yml:1" in told
    assert "training.lora.alpha (" in told
    assert "training_config.yml:5" in told
    with pytest.raises(ModelMismatchError, match=r"training\.more: field required"):
        config["training"].bind(More)


def test_a_stored_value_that_does_not_fit_is_not_shown(config: Config, ssm: FakeSsm) -> None:
    class Wrong(BaseModel):
        key: int

    with pytest.raises(ModelMismatchError) as caught:
        config["aws"].bind(Wrong)
    assert "hush" not in str(caught.value)


def test_a_model_that_would_show_what_is_sensitive_is_refused(config: Config) -> None:
    class Shows(BaseModel):
        key: str

    with pytest.raises(InvalidDeclarationError, match=r"aws\.key, which is sensitive.*SecretStr"):
        config["aws"].bind(Shows)


@pytest.mark.parametrize("name", ["password", "pass-word"])
def test_a_plain_value_that_is_the_same_text_by_chance_is_none_of_the_secret(
    write_config: WriteConfig, ssm: FakeSsm, name: str
) -> None:
    class Login(BaseModel):
        user: str
        password: SecretStr = Field(alias=name)

    ssm.put("/app/password", "postgres", kind="SecureString")
    text = f"user: postgres\n{name}: {{ssm_param: /app/password, sensitive: true}}\n"
    bound = load_config(write_config(db=text), ssm)["db"].bind(Login)
    assert (bound.user, bound.password.get_secret_value()) == ("postgres", "postgres")


@pytest.mark.parametrize("kind", [str, bytes, list[str]])
def test_a_sensitive_value_is_refused_wherever_the_model_shows_it(config: Config, kind: type) -> None:
    class Shows(BaseModel):
        token: kind = Field(alias="key")  # type: ignore[valid-type]

        @field_validator("token", mode="before")
        @classmethod
        def _as_list(cls, value: str) -> Any:
            return [value] if kind == list[str] else value

    with pytest.raises(InvalidDeclarationError, match=r"aws\.key"):
        config["aws"].bind(Shows)
