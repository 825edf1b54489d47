"""The cluster files of docs/clusters are what Ray's launcher and KubeRay take."""

from pathlib import Path
from typing import Any

import pytest
import ray
import yaml
from ray.autoscaler._private.util import prepare_config, validate_config

FOLDER = Path(__file__).parents[2] / "docs" / "clusters"
LAUNCHED = ("cloud", "hosts")


def read(name: str) -> Any:
    return yaml.safe_load((FOLDER / f"{name}.yaml").read_text())


@pytest.fixture(autouse=True)
def own_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ray keeps the state of a set of hosts below its temporary folder."""
    monkeypatch.setenv("RAY_TMPDIR", str(tmp_path))


@pytest.mark.parametrize("name", LAUNCHED)
def test_the_launcher_takes_it(name: str) -> None:
    config = prepare_config(read(name))
    validate_config(config)
    assert config["cluster_name"] == "posestream"
    assert config["head_node_type"] in config["available_node_types"]


def test_the_launcher_would_not_take_anything() -> None:
    """So that the test above says something."""
    config = read("cloud") | {"setup_comands": []}
    with pytest.raises(Exception, match="setup_comands"):
        validate_config(prepare_config(config))


@pytest.mark.parametrize("name", LAUNCHED)
@pytest.mark.parametrize("which", ["head", "worker"])
def test_ray_starts_with_the_environment_active_and_no_doubt_about_tokens(name: str, which: str) -> None:
    commands = read(name)[f"{which}_start_ray_commands"]
    assert all(command.startswith(". ") and "/.venv/bin/activate && " in command for command in commands)
    assert "RAY_AUTH_MODE=disabled" in commands[-1]
    assert "ray start --head" in commands[-1] if which == "head" else "--address=$RAY_HEAD_IP:6379" in commands[-1]
    assert "--dashboard-host=0.0.0.0" not in commands[-1]  # whoever reaches a dashboard can run programs


def test_all_hosts_of_the_list_take_part() -> None:
    config = read("hosts")
    assert config["min_workers"] == config["max_workers"] == len(config["provider"]["worker_ips"])


def test_the_manifest_has_the_shape_of_a_ray_cluster() -> None:
    manifest = read("kuberay")
    assert (manifest["apiVersion"], manifest["kind"]) == ("ray.io/v1", "RayCluster")
    spec = manifest["spec"]
    assert spec["rayVersion"] == ray.__version__
    (workers,) = spec["workerGroupSpecs"]
    assert workers["minReplicas"] <= workers["replicas"] <= workers["maxReplicas"]
    for group, name in ((spec["headGroupSpec"], "ray-head"), (workers, "ray-worker")):
        assert all(isinstance(value, str) for value in group["rayStartParams"].values())
        pod = group["template"]["spec"]
        (container,) = pod["containers"]
        assert container["name"] == name
        assert container["resources"]["requests"] == container["resources"]["limits"]
        assert {"name": "RAY_AUTH_MODE", "value": "disabled"} in container["env"]
        volumes = {volume["name"] for volume in pod.get("volumes", [])}
        assert {mount["name"] for mount in container.get("volumeMounts", [])} == volumes
    assert "nvidia.com/gpu" in container["resources"]["limits"]
    assert "/dev/shm" in [mount["mountPath"] for mount in container["volumeMounts"]]
    assert {port["containerPort"] for port in spec["headGroupSpec"]["template"]["spec"]["containers"][0]["ports"]} >= {
        6379,
        8265,
    }
