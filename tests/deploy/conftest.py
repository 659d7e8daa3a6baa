"""One stack for all tests, deployed as the README says, and one run through it."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.deploy.account import Account
from tests.deploy.run import Run, go_through
from tests.deploy.stack import ARTIFACTS, Stack
from tests.harness.policed import PolicedProxy


@pytest.fixture(scope="session")
def parameters(ministack_url: str, cli: str) -> dict[str, str]:
    """What a deployment has to be told: the network, here the emulator's own."""
    ec2 = Stack(name="", cloud=ministack_url, cli=cli).client("ec2")
    subnets = [each["SubnetId"] for each in ec2.describe_subnets()["Subnets"]]
    return {
        "VpcId": ec2.describe_vpcs()["Vpcs"][0]["VpcId"],
        "SubnetIds": ",".join(subnets[:2]),
        "ApiUrl": "https://shop.example/events",
        "EmptyBucketsOnDelete": "true",
    }


@pytest.fixture(scope="session")
def cli() -> str:
    """The AWS CLI of `make test-deploy`."""
    return str(Path(os.environ["HEADRACE_CLIENTS"]) / "aws")


@pytest.fixture(scope="session")
def stack(ministack_url: str, cli: str, parameters: dict[str, str]) -> Stack:
    """The stack that services and jobs run on."""
    made = Stack(name="headrace", cloud=ministack_url, cli=cli)
    made.client("s3").create_bucket(Bucket=ARTIFACTS)
    made.deploy(**parameters)
    return made


@pytest.fixture(scope="session")
def gate(stack: Stack) -> Iterator[PolicedProxy]:
    """Between them and the cloud, with the policies of the deployed roles."""
    with PolicedProxy(stack.cloud, stack.gate(), stack.policies()) as gate:
        yield gate


@pytest.fixture(scope="session")
def run(stack: Stack, gate: PolicedProxy, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """All services and jobs have done their work, and are gone."""
    with Account(stack, gate, tmp_path_factory.mktemp("account")) as account:
        return go_through(account, gate)
