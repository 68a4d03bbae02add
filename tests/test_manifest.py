"""The Kubernetes manifest of the docs has the fields that KubeRay publishes, and fits in itself."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

PAGE = Path(__file__).parents[1] / "docs" / "cluster.md"
TEXT = {"type": "string"}
COUNT = {"type": "integer", "minimum": 0}
# rayStartParams are strings: numbers must be quoted.
START = {"type": "object", "additionalProperties": TEXT}


def fields(required: str, **properties: Any) -> dict[str, Any]:
    """An object with these fields and no other."""
    return {
        "type": "object",
        "properties": properties,
        "required": required.split(),
        "additionalProperties": False,
    }


CONTAINER = fields(
    "name image",
    name=TEXT,
    image=TEXT,
    resources={"type": "object"},
    volumeMounts={"type": "array", "items": fields("name mountPath", name=TEXT, mountPath=TEXT)},
)
VOLUME = fields("name", name=TEXT, persistentVolumeClaim=fields("claimName", claimName=TEXT))
POD = fields(
    "spec",
    spec=fields(
        "containers",
        containers={"type": "array", "items": CONTAINER, "minItems": 1},
        volumes={"type": "array", "items": VOLUME},
    ),
)
# The fields of apis/ray/v1 (rayjob_types.go, raycluster_types.go) that we may use.
RAY_JOB = fields(
    "apiVersion kind metadata spec",
    apiVersion={"const": "ray.io/v1"},
    kind={"const": "RayJob"},
    metadata=fields("name", name={"type": "string", "pattern": "^[a-z][a-z0-9-]{0,46}$"}),
    spec=fields(
        "rayClusterSpec",
        entrypoint=TEXT,
        runtimeEnvYAML=TEXT,
        shutdownAfterJobFinishes={"type": "boolean"},
        ttlSecondsAfterFinished=COUNT,
        backoffLimit=COUNT,
        rayClusterSpec=fields(
            "headGroupSpec",
            rayVersion=TEXT,
            headGroupSpec=fields("rayStartParams template", rayStartParams=START, template=POD),
            workerGroupSpecs={
                "type": "array",
                "items": fields(
                    "groupName rayStartParams template minReplicas maxReplicas",
                    groupName=TEXT,
                    replicas=COUNT,
                    minReplicas=COUNT,
                    maxReplicas=COUNT,
                    rayStartParams=START,
                    template=POD,
                ),
            },
        ),
    ),
)


def manifest() -> dict[str, Any]:
    (block,) = (
        text
        for text in re.findall(r"```yaml\n(.*?)```", PAGE.read_text(), re.S)
        if "apiVersion" in text
    )
    return yaml.safe_load(block)


def pods(job: dict[str, Any]) -> list[dict[str, Any]]:
    cluster = job["spec"]["rayClusterSpec"]
    groups = [cluster["headGroupSpec"], *cluster["workerGroupSpecs"]]
    return [group["template"]["spec"] for group in groups]


def test_it_has_the_published_fields() -> None:
    jsonschema.validate(manifest(), RAY_JOB)


def test_a_number_where_ray_wants_text_is_found() -> None:
    job = manifest()
    job["spec"]["rayClusterSpec"]["headGroupSpec"]["rayStartParams"] = {"num-cpus": 0}
    with pytest.raises(jsonschema.ValidationError, match="not of type 'string'"):
        jsonschema.validate(job, RAY_JOB)


def test_what_is_mounted_is_there_and_holds_the_sweep() -> None:
    job = manifest()
    for pod in pods(job):
        volumes = {volume["name"] for volume in pod["volumes"]}
        mounts = [mount for each in pod["containers"] for mount in each["volumeMounts"]]
        assert {mount["name"] for mount in mounts} == volumes
        (folder,) = re.findall(r"--folder (\S+)", job["spec"]["entrypoint"])
        assert any(folder.startswith(mount["mountPath"]) for mount in mounts)


def test_its_command_is_one_of_ours() -> None:
    from rher_pl.sweep.request import make_parser

    words = manifest()["spec"]["entrypoint"].split()
    assert words[:3] == ["python", "-m", "rher_pl.sweep"]
    _, rest = make_parser().parse_known_args(words[3:])
    assert rest == []
