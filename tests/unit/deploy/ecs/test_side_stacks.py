"""autoscaling.yaml, load_balancer.yaml and cloudfront.yaml: they fit to headrace.yaml and to the code."""

from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import pytest

from deploy.ecs import template
from headrace.settings import Settings

FOLDER = Path(__file__).parents[4] / "deploy" / "ecs"
HEADRACE = template.load()
MAIN = template.Defaults(HEADRACE)
SCALING, BALANCER, CLOUDFRONT = (
    template.load(FOLDER / f"{name}.yaml") for name in ("autoscaling", "load_balancer", "cloudfront")
)
LIMIT_BYTES = 51_200
"""Of a template that a command line hands to CloudFormation itself."""


def of(stack: dict[str, Any], name: str) -> dict[str, Any]:
    found: dict[str, Any] = stack["Resources"][name]["Properties"]
    return found


@pytest.mark.parametrize("service", ["StatsApi", "Transformer"])
def test_a_target_is_the_service_of_the_other_stack(service: str) -> None:
    cluster = MAIN.resolve(of(HEADRACE, "Cluster")["ClusterName"])
    name = MAIN.resolve(of(HEADRACE, f"{service}Service")["ServiceName"])
    found = template.Defaults(SCALING).resolve(of(SCALING, f"{service}Target")["ResourceId"])
    assert found == f"service/{cluster}/{name}"


def test_there_are_never_more_transformers_than_shards() -> None:
    assert of(SCALING, "TransformerTarget")["MaxCapacity"] == {"Ref": "Shards"}
    assert SCALING["Parameters"]["Shards"]["Default"] == HEADRACE["Parameters"]["Shards"]["Default"]


def test_the_poller_is_not_scaled() -> None:
    kinds = [each["Type"] for each in SCALING["Resources"].values()]
    assert kinds.count("AWS::ApplicationAutoScaling::ScalableTarget") == 2


def test_transformers_follow_the_iterator_age_of_the_stream() -> None:
    stream = {"Name": "StreamName", "Value": MAIN.resolve({"Ref": "EventStream"})}
    for name, policy in (("TransformerBehind", "TransformerMore"), ("TransformerAhead", "TransformerFewer")):
        alarm = template.Defaults(SCALING).resolve({**of(SCALING, name), "AlarmActions": []})
        assert (alarm["Namespace"], alarm["MetricName"]) == ("AWS/Kinesis", "GetRecords.IteratorAgeMilliseconds")
        assert alarm["Dimensions"] == [stream]
        assert of(SCALING, name)["AlarmActions"] == [{"Ref": policy}]
    behind, ahead = of(SCALING, "TransformerBehind"), of(SCALING, "TransformerAhead")
    assert behind["Threshold"] > ahead["Threshold"]


def test_the_load_balancer_speaks_tls_to_callers_and_asks_the_port_of_the_stats_api() -> None:
    assert of(BALANCER, "Listener")["Protocol"] == "HTTPS"
    [inside] = of(BALANCER, "LoadBalancerSecurityGroup")["SecurityGroupEgress"]
    [callers] = of(BALANCER, "LoadBalancerSecurityGroup")["SecurityGroupIngress"]
    assert callers["FromPort"] == callers["ToPort"] == 443
    assert {of(BALANCER, "TargetGroup")["Port"], inside["FromPort"], inside["ToPort"]} == {Settings().stats_port}


@pytest.mark.parametrize(
    ("path", "is_handed_on"),
    [
        ("/v1/products/top", True),
        ("/v1/collect", True),
        ("/docs", True),
        ("/openapi.json", True),
        ("/metrics", False),
        ("/livez", False),
        ("/readyz", False),
    ],
)
def test_what_is_not_for_callers_is_not_handed_on(path: str, *, is_handed_on: bool) -> None:
    [condition] = of(BALANCER, "ForCallers")["Conditions"]
    patterns = condition["PathPatternConfig"]["Values"]
    assert any(fnmatchcase(path, pattern) for pattern in patterns) is is_handed_on
    [otherwise] = of(BALANCER, "Listener")["DefaultActions"]
    assert otherwise["FixedResponseConfig"]["StatusCode"] == "404"


def test_outputs_of_the_load_balancer_are_parameters_of_the_other_stack() -> None:
    assert {"StatsApiTargetGroup", "StatsApiSource"} <= set(BALANCER["Outputs"]) & set(HEADRACE["Parameters"])


def test_requests_of_cloudfront_do_not_go_on_the_stream_of_events() -> None:
    name = template.Defaults(CLOUDFRONT).resolve(of(CLOUDFRONT, "RequestStream")["Name"])
    assert name != MAIN.resolve({"Ref": "EventStream"})


@pytest.mark.parametrize("name", ["autoscaling", "load_balancer", "cloudfront"])
def test_they_need_no_bucket_for_templates(name: str) -> None:
    assert (FOLDER / f"{name}.yaml").stat().st_size <= LIMIT_BYTES
