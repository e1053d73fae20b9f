"""The example of a configuration, which the guide describes."""

from __future__ import annotations

from pathlib import Path

from parameter_config import load_config

EXAMPLE = Path(__file__).parents[2] / "config/examples/fine-tune-slm"


def test_the_example_has_the_whole_hierarchy_of_the_guide() -> None:
    hierarchy = """
        aws/region ec2/instance-id ec2/instance-type ebs/volume-id ebs/mount-path ebs/volume-type
        ebs/size-gb s3/bucket s3/prefix ecr/repository ecr/registry secrets/hf-token-name
        secrets/aws-credentials-name secrets/docker-token-name cloudwatch/log-group
        cloudwatch/log-stream-prefix output/hf-repo
    """
    names = {declaration.schema.ssm_param for declaration in load_config(EXAMPLE, offline=True).declarations}
    assert names == {f"/fine-tune-slm/{key}" for key in hierarchy.split()}


def test_the_example_keeps_hyperparameters_in_git() -> None:
    training = load_config(EXAMPLE, offline=True).training
    assert training.model.name
    assert {"r", "alpha", "dropout"} <= set(training.lora)
    assert {"learning_rate", "batch_size", "epochs"} <= set(training.training)
    assert training.quantization.load_in_4bit is True
    assert training.dataset.train_path.startswith("/")
