"""The manifests: Kubernetes accepts them, and they agree with the image, the settings and the documents."""

import json
import os
import re
import subprocess
import sys
from functools import cache
from math import ceil
from pathlib import Path
from typing import Any

import grpc
import jsonschema
import kubernetes_validate
import pytest
import requests
import yaml
from bench.hostile import HELD, READ, Size
from grpc_health.v1.health_pb2 import HealthCheckRequest, HealthCheckResponse
from grpc_health.v1.health_pb2_grpc import HealthStub

from tabserve.client.local_server import Server, running
from tabserve.serving.limits import MIB, Limits
from tabserve.serving.metrics import METRICS
from tabserve.serving.mlserver.startup_checks import read_limits

ROOT = Path(__file__).parents[2]
MANIFESTS = ROOT / "deploy/kubernetes"
PAGE = (ROOT / "docs/kubernetes.md").read_text()
DOCKERFILE = (ROOT / "deploy/Dockerfile").read_text()
MODEL = json.loads((ROOT / "deploy/model-settings.json").read_text())["name"]
VERSIONS = ("1.30", "1.37")
"""The oldest version with every used feature, and the newest with available schemas."""
KSERVE = ("ServingRuntime", "InferenceService")

Manifest = dict[str, Any]


def manifests_of(name: str) -> dict[str, Manifest]:
    """The manifests of one file by kind; the last one of each kind."""
    return {manifest["kind"]: manifest for manifest in yaml.safe_load_all((MANIFESTS / name).read_text())}


@cache
def render(folder: str) -> list[Manifest]:
    """The manifests that `kubectl apply -k` would send."""
    command = ["kubectl", "kustomize", str(MANIFESTS / folder)]
    finished = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert finished.returncode == 0, finished.stderr
    return list(yaml.safe_load_all(finished.stdout))


def of_kind(kind: str, manifests: list[Manifest]) -> list[Manifest]:
    """The manifests of one kind."""
    return [manifest for manifest in manifests if manifest["kind"] == kind]


DEPLOYMENT = manifests_of("server/deployment.yaml")["Deployment"]
POD = DEPLOYMENT["spec"]["template"]["spec"]
(CONTAINER,) = POD["containers"]
RUNTIME, SERVICE = map(manifests_of("kserve/kserve.yaml").__getitem__, KSERVE)
(RUNTIME_CONTAINER,) = RUNTIME["spec"]["containers"]
PREDICTOR = SERVICE["spec"]["predictor"]
SETTINGS = json.loads((MANIFESTS / "settings/settings.json").read_text())


@pytest.fixture
def limits(monkeypatch: pytest.MonkeyPatch) -> Limits:
    """The limits of a replica."""
    for name in [name for name in os.environ if name.startswith("TABSERVE_")]:
        monkeypatch.delenv(name)
    return read_limits(MANIFESTS / "settings/settings.json")


@pytest.mark.needs("kubectl")
@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("folder", [".", "canary", "kserve"])
def test_kubernetes_accepts_the_rendered_manifests(folder: str, version: str) -> None:
    """Every manifest fits that version's strict schema, without unknown fields."""
    for manifest in render(folder):
        if manifest["kind"] not in KSERVE:
            kubernetes_validate.validate(manifest, version, strict=True)


@pytest.mark.parametrize("version", VERSIONS)
def test_kubernetes_accepts_the_pods_that_kserve_makes(version: str) -> None:
    """The pod that KServe makes of its two resources fits the schema of a pod."""
    kserves = {"minReplicas", "maxReplicas", "scaleMetric", "scaleTarget", "model"}
    spec = {name: value for name, value in PREDICTOR.items() if name not in kserves}
    spec |= {name: RUNTIME["spec"][name] for name in ("containers", "volumes")}
    pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "x"}, "spec": spec}
    kubernetes_validate.validate(pod, version, strict=True)


@pytest.mark.parametrize("manifest", [RUNTIME, SERVICE], ids=KSERVE)
def test_kserve_accepts_its_manifests(manifest: Manifest) -> None:
    """They fit the resource definitions of a KServe release, without unknown fields."""
    if not (path := os.environ.get("KSERVE_CRDS")):
        pytest.skip("KSERVE_CRDS names no file of KServe's resource definitions")
    for definition in yaml.load_all(Path(path).read_text(), yaml.CSafeLoader):
        if definition and definition["metadata"]["name"] == f"{manifest['kind'].lower()}s.serving.kserve.io":
            (schema,) = [
                version["schema"]["openAPIV3Schema"]
                for version in definition["spec"]["versions"]
                if manifest["apiVersion"].endswith("/" + version["name"])
            ]
            jsonschema.Draft202012Validator(forbid_unknown_fields(schema)).validate({**manifest, "metadata": {}})
            return
    pytest.fail(f"{path} does not define {manifest['kind']}")


def forbid_unknown_fields(schema: Any) -> Any:  # noqa: ANN401  JSON
    """The schema without additional fields and without Kubernetes' own keywords."""
    if isinstance(schema, list):
        return list(map(forbid_unknown_fields, schema))
    if not isinstance(schema, dict):
        return schema
    if schema.get("x-kubernetes-int-or-string") is True:
        return {"type": ["integer", "string"]}
    if schema.get("type") == "object" and isinstance(schema.get("properties"), dict):
        schema = {"additionalProperties": False, **schema}
    return {name: forbid_unknown_fields(value) for name, value in schema.items()}


@pytest.mark.parametrize("container", [CONTAINER, RUNTIME_CONTAINER], ids=["Deployment", "ServingRuntime"])
def test_a_replica_has_the_images_ports_user_and_settings(container: Manifest) -> None:
    """Ports, user and settings path are the Dockerfile's."""
    (exposed,), ((user, group),), (folder,) = (
        re.findall(pattern, DOCKERFILE, re.MULTILINE)
        for pattern in (r"^EXPOSE (.+)$", r"^USER (\d+):(\d+)$", r"^WORKDIR (.+)$")
    )
    ports = [port["containerPort"] for port in container["ports"]]
    assert ports == [int(port) for port in exposed.split()][: len(ports)]
    allowed = POD["securityContext"] | container["securityContext"]
    assert (allowed["runAsUser"], allowed["runAsGroup"]) == (int(user), int(group))
    (mount,) = container["volumeMounts"]
    assert (mount["mountPath"], mount["subPath"]) == (f"{folder}/settings.json", "settings.json")


@pytest.mark.parametrize(
    ("container", "pod"),
    [(CONTAINER, POD), (RUNTIME_CONTAINER, PREDICTOR)],
    ids=["Deployment", "ServingRuntime"],
)
def test_a_replica_may_do_nothing_but_serve(container: Manifest, pod: Manifest) -> None:
    """It has no root, capability, writable file system, token, or variables of services."""
    allowed = pod.get("securityContext", {}) | container["securityContext"]
    assert (allowed["runAsNonRoot"], allowed["readOnlyRootFilesystem"]) == (True, True)
    assert not allowed["allowPrivilegeEscalation"]
    assert allowed["capabilities"] == {"drop": ["ALL"]}
    assert allowed["seccompProfile"] == {"type": "RuntimeDefault"}
    assert (pod["automountServiceAccountToken"], pod["enableServiceLinks"]) == (False, False)


def test_the_namespace_admits_only_such_pods() -> None:
    """Kubernetes enforces its strictest pod standard in the namespace."""
    labels = manifests_of("base/namespace.yaml")["Namespace"]["metadata"]["labels"]
    assert labels["pod-security.kubernetes.io/enforce"] == "restricted"


def test_only_limits_differ_from_the_images_settings() -> None:
    """All other settings are those of deploy/settings.json."""
    image = json.loads((ROOT / "deploy/settings.json").read_text())
    others = [{**settings, "grpc_max_message_length": 0, "tabserve": {}} for settings in (image, SETTINGS)]
    assert others[0] == others[1]


@pytest.mark.parametrize(
    ("container", "pod"),
    [(CONTAINER, POD), (RUNTIME_CONTAINER, PREDICTOR)],
    ids=["Deployment", "ServingRuntime"],
)
def test_the_grace_period_is_long_enough_to_drain(container: Manifest, pod: Manifest, limits: Limits) -> None:
    """Before it would be killed, a replica has left the service, drained, and sent its last answers to slow clients."""
    leaving = container["lifecycle"]["preStop"]["sleep"]["seconds"]
    needed = leaving + limits.drain_seconds + ceil(limits.receive_seconds)
    assert needed < pod["terminationGracePeriodSeconds"] <= needed + 5


def test_the_memory_limit_is_what_the_settings_allow(limits: Limits) -> None:
    """It is the idle memory plus the bounds of SECURITY.md, and at most 64 MiB more."""
    size = Size(limits.max_body_bytes, limits.max_receiving_bytes, limits.max_receiving_messages, limits.max_queue_rows)
    assert size.body == SETTINGS["grpc_max_message_length"]
    ((idle,),) = [re.findall(r"holds (\d+) MiB in the image", (ROOT / "SECURITY.md").read_text())]
    most = int(idle) * MIB + sum(limit.bound(size) for limit in HELD.values())
    most += max(limit.bound(size) for limit in READ.values())
    memory = CONTAINER["resources"]["limits"]["memory"]
    assert most <= int(memory.removesuffix("Mi")) * MIB <= most + 64 * MIB
    assert CONTAINER["resources"]["requests"]["memory"] == memory


def test_the_largest_request_fits_as_bytes(limits: Limits) -> None:
    """The most rows of 200 float32 features are no more bytes than a body may have."""
    assert limits.max_rows * 200 * 4 <= limits.max_body_bytes


def test_probes_ask_for_the_model() -> None:
    """A replica gets requests once its model is ready, and is restarted if it is not live."""
    ready = f"/v2/models/{MODEL}/ready"
    paths = [CONTAINER[f"{name}Probe"]["httpGet"]["path"] for name in ("startup", "readiness", "liveness")]
    assert paths == [ready, ready, "/v2/health/live"]


def test_the_probes_routes_answer(served: Server) -> None:
    """A real server answers each probe with 200."""
    for name in ("startup", "readiness", "liveness"):
        path = CONTAINER[f"{name}Probe"]["httpGet"]["path"]
        assert requests.get(served.url + path, timeout=10).status_code == 200


def test_the_documented_grpc_probe_is_answered(served: Server) -> None:
    """It fits Kubernetes' schema and the replica's port, and a real server answers SERVING."""
    ((block,),) = [re.findall(r"```yaml\n( *readinessProbe:.*?)```", PAGE, re.DOTALL)]
    shown = yaml.safe_load(block)
    pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "x"}}
    pod |= {"spec": {**POD, "containers": [{**CONTAINER, **shown}]}}
    for version in VERSIONS:
        kubernetes_validate.validate(pod, version, strict=True)
    probe = shown["readinessProbe"]["grpc"]
    assert probe["port"] == next(port["containerPort"] for port in CONTAINER["ports"] if port["name"] == "grpc")
    with grpc.insecure_channel(served.grpc) as channel:
        health = HealthStub(channel).Check(HealthCheckRequest(service=probe["service"]), timeout=10)
    assert health.status == HealthCheckResponse.SERVING


def test_kserve_runs_the_same_replica() -> None:
    """Image, probes, memory and lifecycle are the Deployment's; the model path is KServe's."""
    probes = ("startupProbe", "readinessProbe", "livenessProbe")
    for name in (*probes, "image", "lifecycle", "resources", "volumeMounts"):
        assert RUNTIME_CONTAINER[name] == CONTAINER[name]
    assert RUNTIME["spec"]["volumes"] == POD["volumes"]
    assert RUNTIME_CONTAINER["env"] == [{"name": "TABSERVE_MODEL", "value": "/mnt/models"}]
    assert RUNTIME["spec"]["annotations"]["prometheus.kserve.io/port"] == str(CONTAINER["ports"][2]["containerPort"])


def test_kserves_service_names_its_runtime_and_the_model() -> None:
    """Its name is the model's, which clients use, and the runtime supports its format."""
    assert SERVICE["metadata"]["name"] == MODEL
    model = PREDICTOR["model"]
    assert model["runtime"] == RUNTIME["metadata"]["name"]
    assert model["modelFormat"].items() <= RUNTIME["spec"]["supportedModelFormats"][0].items()
    assert model["protocolVersion"] == "v2"
    assert "v2" in RUNTIME["spec"]["protocolVersions"]


@pytest.mark.needs("kubectl")
@pytest.mark.parametrize("folder", [".", "canary"])
def test_every_selector_matches_the_replicas(folder: str) -> None:
    """Services, budget and network policy select every replica and its ports; the autoscaler one Deployment."""
    manifests = render(folder)
    (namespace,) = of_kind("Namespace", manifests)
    inside = {manifest["metadata"].get("namespace") for manifest in manifests if manifest is not namespace}
    assert inside == {namespace["metadata"]["name"]}
    labels = [manifest["spec"]["template"]["metadata"]["labels"] for manifest in of_kind("Deployment", manifests)]
    selectors = [manifest["spec"]["selector"] for manifest in of_kind("Service", manifests)]
    selectors += [manifest["spec"]["selector"]["matchLabels"] for manifest in of_kind("PodDisruptionBudget", manifests)]
    selectors += [manifest["spec"]["podSelector"]["matchLabels"] for manifest in of_kind("NetworkPolicy", manifests)]
    assert len(selectors) == 4
    assert all(selector.items() <= label.items() for selector in selectors for label in labels)
    ports = {port["name"]: port["containerPort"] for port in CONTAINER["ports"]}
    for port in [port for manifest in of_kind("Service", manifests) for port in manifest["spec"]["ports"]]:
        assert port["port"] == ports[port["targetPort"]]
    (autoscaler,) = of_kind("HorizontalPodAutoscaler", manifests)
    assert autoscaler["spec"]["scaleTargetRef"]["name"] == DEPLOYMENT["metadata"]["name"]
    assert "replicas" not in DEPLOYMENT["spec"]  # each apply would override the autoscaler


def test_the_network_policy_admits_only_clients_and_monitoring() -> None:
    """Pods labelled as clients reach REST and gRPC, monitoring reaches metrics, and nothing goes out."""
    spec = manifests_of("base/network.yaml")["NetworkPolicy"]["spec"]
    assert (spec["policyTypes"], spec.get("egress", [])) == (["Ingress", "Egress"], [])
    allowed = [(list(rule["from"][0]), [port["port"] for port in rule["ports"]]) for rule in spec["ingress"]]
    assert allowed == [(["podSelector"], ["http", "grpc"]), (["namespaceSelector"], ["metrics"])]
    ((name, value),) = spec["ingress"][0]["from"][0]["podSelector"]["matchLabels"].items()
    assert f'`{name}: "{value}"`' in PAGE


@pytest.mark.needs("kubectl")
def test_a_change_of_the_settings_is_a_rolling_update() -> None:
    """The mounted ConfigMap's name has a hash of the settings, in every rendering."""
    for folder in (".", "canary", "kserve"):
        manifests = render(folder)
        names = {manifest["metadata"]["name"] for manifest in of_kind("ConfigMap", manifests)}
        pods = [manifest["spec"]["template"]["spec"] for manifest in of_kind("Deployment", manifests)]
        pods += [manifest["spec"] for manifest in of_kind("ServingRuntime", manifests)]
        assert {pod["volumes"][0]["configMap"]["name"] for pod in pods} == names
        assert all(re.fullmatch(r"tabserve-settings(-canary)?-[a-z0-9]{10}", name) for name in names)


@pytest.mark.needs("kubectl")
def test_the_canary_gets_a_tenth() -> None:
    """One replica of another image stands beside nine fixed ones behind the same Service."""
    manifests = render("canary")
    stable, canary = (manifest["spec"] for manifest in of_kind("Deployment", manifests))
    (scaling,) = (manifest["spec"] for manifest in of_kind("HorizontalPodAutoscaler", manifests))
    assert scaling["minReplicas"] == scaling["maxReplicas"]
    assert canary["replicas"] / (canary["replicas"] + scaling["minReplicas"]) == 0.1
    assert stable["selector"] != canary["selector"]
    images = [deployment["template"]["spec"]["containers"][0]["image"] for deployment in (stable, canary)]
    assert images == ["tabserve:0.1.0", "tabserve:model-2"]


def test_the_autoscalers_metric_exists() -> None:
    """The documented adapter rule derives it from a metric of the server."""
    ((block,),) = [re.findall(r"```yaml\n(rules:.*?)```", PAGE, re.DOTALL)]
    (rule,) = yaml.safe_load(block)["rules"]
    series = re.match(r"\w+", rule["seriesQuery"])
    assert series
    assert series[0] in {f"{metric.name}_count" for metric in METRICS.collect()}
    metric = manifests_of("base/autoscaler.yaml")["HorizontalPodAutoscaler"]["spec"]["metrics"][1]["pods"]["metric"][
        "name"
    ]
    assert re.sub(rule["name"]["matches"], rule["name"]["as"].replace("${1}", r"\1"), series[0]) == metric


def test_the_arithmetic_of_the_document_is_right() -> None:
    """Each replica count is the wanted rate divided by 70 % of one replica's rate, rounded up."""
    rows = re.findall(r"^\| [^|]+ \| ([\d,]+) \| ([\d,]+) \| ([\d,]+) \|$", PAGE, re.MULTILINE)
    assert len(rows) >= 3
    for wanted, rate, replicas in [[int(number.replace(",", "")) for number in row] for row in rows]:
        assert replicas == ceil(wanted / (0.7 * rate))


def test_grpc_calls_are_spread_as_the_document_says(served: Server, model_folder: Path) -> None:
    """A client with the documented options reaches both of two servers over one channel."""
    ((snippet,),) = [re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)]
    with running(ROOT / "deploy", {"TABSERVE_MODEL": str(model_folder)}) as other:
        both = (served, other)
        before = list(map(grpc_answers, both))
        code = snippet.replace("dns:///tabserve-replicas:8081", f"ipv4:{served.grpc},{other.grpc}")
        command = [sys.executable, "-c", code + "for _ in range(100):\n    client.infer(MODEL, [tensor])\n"]
        finished = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=60)
        assert finished.returncode == 0, finished.stderr
        assert min(now - then for now, then in zip(map(grpc_answers, both), before, strict=True)) >= 20


def grpc_answers(server: Server) -> int:
    """The number of gRPC requests that a server has answered."""
    text = requests.get(server.metrics + "/metrics", timeout=10).text
    count = re.search(r'^tabserve_request_seconds_count\{protocol="grpc"\} ([\d.]+)$', text, re.MULTILINE)
    return int(float(count[1])) if count else 0


def test_the_documented_folders_exist() -> None:
    """Every folder that the page applies or renders is a kustomization."""
    folders = re.findall(r"kubectl.* (?:-k|kustomize) (\S+)", PAGE)
    assert len(folders) >= 4
    assert all((ROOT / folder / "kustomization.yaml").is_file() for folder in folders)
