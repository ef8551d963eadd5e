"""The manifests: what Kubernetes accepts, and what agrees with the image, the server's settings and its documents."""

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
"""The oldest version that has all that is used, and the newest whose schemas are at hand."""
KSERVE = ("ServingRuntime", "InferenceService")

Manifest = dict[str, Any]


def written(name: str) -> dict[str, Manifest]:
    """The manifests of one file, by kind; of two of a kind the last."""
    return {each["kind"]: each for each in yaml.safe_load_all((MANIFESTS / name).read_text())}


@cache
def rendered(folder: str) -> list[Manifest]:
    """What `kubectl apply -k` would send."""
    command = ["kubectl", "kustomize", str(MANIFESTS / folder)]
    finished = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert finished.returncode == 0, finished.stderr
    return list(yaml.safe_load_all(finished.stdout))


def of_kind(kind: str, manifests: list[Manifest]) -> list[Manifest]:
    """Those of one kind."""
    return [each for each in manifests if each["kind"] == kind]


DEPLOYMENT = written("server/deployment.yaml")["Deployment"]
POD = DEPLOYMENT["spec"]["template"]["spec"]
(CONTAINER,) = POD["containers"]
RUNTIME, SERVICE = map(written("kserve/kserve.yaml").__getitem__, KSERVE)
(RUNTIME_CONTAINER,) = RUNTIME["spec"]["containers"]
PREDICTOR = SERVICE["spec"]["predictor"]
SETTINGS = json.loads((MANIFESTS / "settings/settings.json").read_text())


@pytest.fixture
def limits(monkeypatch: pytest.MonkeyPatch) -> Limits:
    """What a replica is set to."""
    for name in [name for name in os.environ if name.startswith("TABSERVE_")]:
        monkeypatch.delenv(name)
    return read_limits(MANIFESTS / "settings")


@pytest.mark.needs("kubectl")
@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("folder", [".", "canary", "kserve"])
def test_kubernetes_accepts_what_is_rendered(folder: str, version: str) -> None:
    """Every manifest follows that version's schema, which allows no field that it does not know."""
    for manifest in rendered(folder):
        if manifest["kind"] not in KSERVE:
            kubernetes_validate.validate(manifest, version, strict=True)


@pytest.mark.parametrize("version", VERSIONS)
def test_kubernetes_accepts_the_pods_that_kserve_makes(version: str) -> None:
    """What KServe hands on of its two resources follows the schema of a pod."""
    theirs = {"minReplicas", "maxReplicas", "scaleMetric", "scaleTarget", "model"}
    spec = {name: value for name, value in PREDICTOR.items() if name not in theirs}
    spec |= {name: RUNTIME["spec"][name] for name in ("containers", "volumes")}
    pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "x"}, "spec": spec}
    kubernetes_validate.validate(pod, version, strict=True)


@pytest.mark.parametrize("manifest", [RUNTIME, SERVICE], ids=KSERVE)
def test_kserve_accepts_its_manifests(manifest: Manifest) -> None:
    """They follow the definitions that a release of KServe publishes, without a field that these do not know."""
    if not (path := os.environ.get("KSERVE_CRDS")):
        pytest.skip("KSERVE_CRDS names no file of KServe's resource definitions")
    for definition in yaml.load_all(Path(path).read_text(), yaml.CSafeLoader):
        if definition and definition["metadata"]["name"] == f"{manifest['kind'].lower()}s.serving.kserve.io":
            (schema,) = [
                version["schema"]["openAPIV3Schema"]
                for version in definition["spec"]["versions"]
                if manifest["apiVersion"].endswith("/" + version["name"])
            ]
            jsonschema.Draft202012Validator(closed(schema)).validate({**manifest, "metadata": {}})
            return
    pytest.fail(f"{path} does not define {manifest['kind']}")


def closed(schema: Any) -> Any:  # noqa: ANN401  JSON
    """This schema with no other fields than it names; what only Kubernetes reads of it is left out."""
    if isinstance(schema, list):
        return list(map(closed, schema))
    if not isinstance(schema, dict):
        return schema
    if schema.get("x-kubernetes-int-or-string") is True:
        return {"type": ["integer", "string"]}
    if schema.get("type") == "object" and isinstance(schema.get("properties"), dict):
        schema = {"additionalProperties": False, **schema}
    return {name: closed(value) for name, value in schema.items()}


@pytest.mark.parametrize("container", [CONTAINER, RUNTIME_CONTAINER], ids=["Deployment", "ServingRuntime"])
def test_a_replica_is_as_the_image_expects_it(container: Manifest) -> None:
    """Its ports, its user and the place of its settings are the Dockerfile's."""
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
    """No root, no capability, no place to write, no token, and no variables from services."""
    allowed = pod.get("securityContext", {}) | container["securityContext"]
    assert (allowed["runAsNonRoot"], allowed["readOnlyRootFilesystem"]) == (True, True)
    assert not allowed["allowPrivilegeEscalation"]
    assert allowed["capabilities"] == {"drop": ["ALL"]}
    assert allowed["seccompProfile"] == {"type": "RuntimeDefault"}
    assert (pod["automountServiceAccountToken"], pod["enableServiceLinks"]) == (False, False)


def test_the_namespace_admits_only_such_pods() -> None:
    """Kubernetes itself holds every pod of it to its strictest standard."""
    labels = written("base/namespace.yaml")["Namespace"]["metadata"]["labels"]
    assert labels["pod-security.kubernetes.io/enforce"] == "restricted"


def test_only_limits_differ_from_the_images_settings() -> None:
    """What else deploy/settings.json says is said here too."""
    image = json.loads((ROOT / "deploy/settings.json").read_text())
    others = [{**each, "grpc_max_message_length": 0, "tabserve": {}} for each in (image, SETTINGS)]
    assert others[0] == others[1]


@pytest.mark.parametrize(
    ("container", "pod"),
    [(CONTAINER, POD), (RUNTIME_CONTAINER, PREDICTOR)],
    ids=["Deployment", "ServingRuntime"],
)
def test_a_replica_is_given_the_time_that_it_takes_to_end(container: Manifest, pod: Manifest, limits: Limits) -> None:
    """Before it would be killed it has left the service, drained, and waited for those who read slowly."""
    leaving = container["lifecycle"]["preStop"]["sleep"]["seconds"]
    needed = leaving + limits.drain_seconds + ceil(limits.receive_seconds)
    assert needed < pod["terminationGracePeriodSeconds"] <= needed + 5


def test_the_memory_limit_is_what_the_settings_allow(limits: Limits) -> None:
    """What SECURITY.md says of an idle server and of the most that strangers can add, and little more."""
    size = Size(limits.max_body_bytes, limits.max_receiving_bytes, limits.max_receiving_messages, limits.max_queue_rows)
    assert size.body == SETTINGS["grpc_max_message_length"]
    ((idle,),) = [re.findall(r"holds (\d+) MiB in the image", (ROOT / "SECURITY.md").read_text())]
    most = int(idle) * MIB + sum(each.bound(size) for each in HELD.values())
    most += max(each.bound(size) for each in READ.values())
    memory = CONTAINER["resources"]["limits"]["memory"]
    assert most <= int(memory.removesuffix("Mi")) * MIB <= most + 64 * MIB
    assert CONTAINER["resources"]["requests"]["memory"] == memory


def test_the_largest_request_fits_as_bytes(limits: Limits) -> None:
    """The rows that a request may hold, of 200 features in 32 bits each, are no more bytes than a body may have."""
    assert limits.max_rows * 200 * 4 <= limits.max_body_bytes


def test_probes_ask_for_the_model() -> None:
    """A replica gets requests once its model is ready, and is started anew where it no longer lives."""
    ready = f"/v2/models/{MODEL}/ready"
    paths = [CONTAINER[f"{name}Probe"]["httpGet"]["path"] for name in ("startup", "readiness", "liveness")]
    assert paths == [ready, ready, "/v2/health/live"]


def test_the_probes_routes_answer(served: Server) -> None:
    """A real server says 200 to each."""
    for name in ("startup", "readiness", "liveness"):
        path = CONTAINER[f"{name}Probe"]["httpGet"]["path"]
        assert requests.get(served.url + path, timeout=10).status_code == 200


def test_the_shown_probe_over_grpc_is_answered(served: Server) -> None:
    """It is one of Kubernetes', at the replica's port, and a real server says that the model takes requests."""
    ((block,),) = [re.findall(r"```yaml\n( *readinessProbe:.*?)```", PAGE, re.DOTALL)]
    shown = yaml.safe_load(block)
    pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "x"}}
    pod |= {"spec": {**POD, "containers": [{**CONTAINER, **shown}]}}
    for version in VERSIONS:
        kubernetes_validate.validate(pod, version, strict=True)
    probe = shown["readinessProbe"]["grpc"]
    assert probe["port"] == next(port["containerPort"] for port in CONTAINER["ports"] if port["name"] == "grpc")
    with grpc.insecure_channel(served.grpc) as channel:
        found = HealthStub(channel).Check(HealthCheckRequest(service=probe["service"]), timeout=10)
    assert found.status == HealthCheckResponse.SERVING


def test_kserve_runs_the_same_replica() -> None:
    """Image, probes, memory and end are the Deployment's; the model is where KServe puts it."""
    probes = ("startupProbe", "readinessProbe", "livenessProbe")
    for name in (*probes, "image", "lifecycle", "resources", "volumeMounts"):
        assert RUNTIME_CONTAINER[name] == CONTAINER[name]
    assert RUNTIME["spec"]["volumes"] == POD["volumes"]
    assert RUNTIME_CONTAINER["env"] == [{"name": "TABSERVE_MODEL", "value": "/mnt/models"}]
    assert RUNTIME["spec"]["annotations"]["prometheus.kserve.io/port"] == str(CONTAINER["ports"][2]["containerPort"])


def test_kserves_service_names_its_runtime_and_the_model() -> None:
    """Its name is the model's, which clients take from it, and its format one that the runtime has."""
    assert SERVICE["metadata"]["name"] == MODEL
    model = PREDICTOR["model"]
    assert model["runtime"] == RUNTIME["metadata"]["name"]
    assert model["modelFormat"].items() <= RUNTIME["spec"]["supportedModelFormats"][0].items()
    assert model["protocolVersion"] == "v2"
    assert "v2" in RUNTIME["spec"]["protocolVersions"]


@pytest.mark.needs("kubectl")
@pytest.mark.parametrize("folder", [".", "canary"])
def test_everything_finds_the_replicas(folder: str) -> None:
    """Services, budget and network policy select every replica, by ports that it has; the autoscaler one Deployment."""
    manifests = rendered(folder)
    (namespace,) = of_kind("Namespace", manifests)
    inside = {each["metadata"].get("namespace") for each in manifests if each is not namespace}
    assert inside == {namespace["metadata"]["name"]}
    labels = [each["spec"]["template"]["metadata"]["labels"] for each in of_kind("Deployment", manifests)]
    selectors = [each["spec"]["selector"] for each in of_kind("Service", manifests)]
    selectors += [each["spec"]["selector"]["matchLabels"] for each in of_kind("PodDisruptionBudget", manifests)]
    selectors += [each["spec"]["podSelector"]["matchLabels"] for each in of_kind("NetworkPolicy", manifests)]
    assert len(selectors) == 4
    assert all(selector.items() <= each.items() for selector in selectors for each in labels)
    ports = {port["name"]: port["containerPort"] for port in CONTAINER["ports"]}
    for port in [port for each in of_kind("Service", manifests) for port in each["spec"]["ports"]]:
        assert port["port"] == ports[port["targetPort"]]
    (autoscaler,) = of_kind("HorizontalPodAutoscaler", manifests)
    assert autoscaler["spec"]["scaleTargetRef"]["name"] == DEPLOYMENT["metadata"]["name"]
    assert "replicas" not in DEPLOYMENT["spec"]  # which each apply would take back from the autoscaler


def test_the_network_lets_in_clients_and_monitoring_alone() -> None:
    """REST and gRPC from pods that call themselves clients, metrics from monitoring, and nothing out."""
    spec = written("base/network.yaml")["NetworkPolicy"]["spec"]
    assert (spec["policyTypes"], spec.get("egress", [])) == (["Ingress", "Egress"], [])
    allowed = [(list(rule["from"][0]), [port["port"] for port in rule["ports"]]) for rule in spec["ingress"]]
    assert allowed == [(["podSelector"], ["http", "grpc"]), (["namespaceSelector"], ["metrics"])]
    ((name, value),) = spec["ingress"][0]["from"][0]["podSelector"]["matchLabels"].items()
    assert f'`{name}: "{value}"`' in PAGE


@pytest.mark.needs("kubectl")
def test_a_change_of_the_settings_is_a_rolling_update() -> None:
    """What the pods mount is named after the settings' content, in every rendering."""
    for folder in (".", "canary", "kserve"):
        manifests = rendered(folder)
        names = {each["metadata"]["name"] for each in of_kind("ConfigMap", manifests)}
        pods = [each["spec"]["template"]["spec"] for each in of_kind("Deployment", manifests)]
        pods += [each["spec"] for each in of_kind("ServingRuntime", manifests)]
        assert {pod["volumes"][0]["configMap"]["name"] for pod in pods} == names
        assert all(re.fullmatch(r"tabserve-settings(-canary)?-[a-z0-9]{10}", name) for name in names)


@pytest.mark.needs("kubectl")
def test_the_canary_gets_a_tenth() -> None:
    """One replica of another image, beside nine that the autoscaler leaves alone, behind the same Service."""
    manifests = rendered("canary")
    stable, canary = (each["spec"] for each in of_kind("Deployment", manifests))
    (scaling,) = (each["spec"] for each in of_kind("HorizontalPodAutoscaler", manifests))
    assert scaling["minReplicas"] == scaling["maxReplicas"]
    assert canary["replicas"] / (canary["replicas"] + scaling["minReplicas"]) == 0.1
    assert stable["selector"] != canary["selector"]
    images = [each["template"]["spec"]["containers"][0]["image"] for each in (stable, canary)]
    assert images == ["tabserve:0.1.0", "tabserve:model-2"]


def test_the_autoscalers_metric_is_one_that_is_served() -> None:
    """The adapter's rule in the document makes the autoscaler's metric of a series that the server has."""
    ((block,),) = [re.findall(r"```yaml\n(rules:.*?)```", PAGE, re.DOTALL)]
    (rule,) = yaml.safe_load(block)["rules"]
    series = re.match(r"\w+", rule["seriesQuery"])
    assert series
    assert series[0] in {f"{metric.name}_count" for metric in METRICS.collect()}
    asked = written("base/autoscaler.yaml")["HorizontalPodAutoscaler"]["spec"]["metrics"][1]["pods"]["metric"]["name"]
    assert re.sub(rule["name"]["matches"], rule["name"]["as"].replace("${1}", r"\1"), series[0]) == asked


def test_the_arithmetic_of_the_document_is_right() -> None:
    """Every replica count of its table is the wanted rate over 70 % of what one replica answers, rounded up."""
    rows = re.findall(r"^\| [^|]+ \| ([\d,]+) \| ([\d,]+) \| ([\d,]+) \|$", PAGE, re.MULTILINE)
    assert len(rows) >= 3
    for wanted, each, replicas in [[int(number.replace(",", "")) for number in row] for row in rows]:
        assert replicas == ceil(wanted / (0.7 * each))


def test_grpc_calls_are_spread_as_the_document_says(served: Server, model_folder: Path) -> None:
    """A client with the document's options asks both of two servers, over one channel."""
    ((snippet,),) = [re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)]
    with running(ROOT / "deploy", {"TABSERVE_MODEL": str(model_folder)}) as other:
        both = (served, other)
        before = list(map(calls, both))
        code = snippet.replace("dns:///tabserve-replicas:8081", f"ipv4:{served.grpc},{other.grpc}")
        command = [sys.executable, "-c", code + "for _ in range(100):\n    client.infer(MODEL, [tensor])\n"]
        finished = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=60)
        assert finished.returncode == 0, finished.stderr
        assert min(now - then for now, then in zip(map(calls, both), before, strict=True)) >= 20


def calls(server: Server) -> int:
    """That a server has answered over gRPC."""
    text = requests.get(server.metrics + "/metrics", timeout=10).text
    found = re.search(r'^tabserve_request_seconds_count\{protocol="grpc"\} ([\d.]+)$', text, re.MULTILINE)
    return int(float(found[1])) if found else 0


def test_the_documents_folders_are_there() -> None:
    """Everything that the page applies or renders is a kustomization."""
    folders = re.findall(r"kubectl.* (?:-k|kustomize) (\S+)", PAGE)
    assert len(folders) >= 4
    assert all((ROOT / folder / "kustomization.yaml").is_file() for folder in folders)
