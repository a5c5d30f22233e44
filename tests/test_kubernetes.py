"""deploy/kubernetes: valid for Kubernetes itself, and every name in it exists, in our settings, commands and files."""

from __future__ import annotations

import re
import tomllib
from typing import Any
from urllib.parse import urlsplit

import kubernetes_validate
import pytest
import yaml

from deployed import DOCKERFILE, IMAGE, ROOT, parsed, variables
from desk import Desk
from frontend.settings import Settings as PageSettings
from gateway import settings as settings_module
from gateway.settings import Settings

FOLDER = ROOT / "deploy" / "kubernetes"
COMPOSE = yaml.safe_load((ROOT / "compose.yaml").read_text())["services"]
FILES = sorted(FOLDER.glob("*.yaml"))
KUSTOMIZATION = yaml.safe_load((FOLDER / "kustomization.yaml").read_text())
OBJECTS: list[dict[str, Any]] = [
    one for path in FILES if path.name != "kustomization.yaml" for one in yaml.safe_load_all(path.read_text())
]
NAMED = {f"{one['kind']}/{one['metadata'].get('name', 'drill')}": one for one in OBJECTS}
VERSION = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
COMPONENT = "app.kubernetes.io/component"


def pods() -> dict[str, dict[str, Any]]:
    """The template of each component's pods."""
    templates = [one["spec"]["template"] for one in OBJECTS if "template" in one.get("spec", {})]
    return {one["metadata"]["labels"][COMPONENT]: one for one in templates}


PODS = pods()
OURS = [name for name in PODS if name != "postgres"]
CONTAINERS = [
    (name, container)
    for name, pod in PODS.items()
    for container in (*pod["spec"].get("initContainers", ()), *pod["spec"]["containers"])
]
CONFIG: dict[str, str] = NAMED["ConfigMap/leakdrill"]["data"]
# What the documentation has people write into it.
WRITTEN = re.findall(
    r"secrets\.env <<END\n(.*?)^END$", (ROOT / "docs" / "cluster.md").read_text(), re.DOTALL | re.MULTILINE
)
SECRET = dict(line.split("=", 1) for line in WRITTEN[0].splitlines())


def environment_of(container: dict[str, Any]) -> dict[str, str]:
    """What a container is told, with a word of its own for each thing that only a cluster knows."""
    told = dict(IMAGE)
    for source in container.get("envFrom", ()):
        told |= CONFIG if "configMapRef" in source else SECRET
        assert next(iter(source.values())) == {"name": "leakdrill"}
    for one in container.get("env", ()):
        told[one["name"]] = one["value"] if "value" in one else drawn(one["valueFrom"])
    return told


def drawn(source: dict[str, Any]) -> str:
    ((kind, at),) = source.items()
    if kind == "fieldRef":
        # The longest name of a pod: the Deployment's, ten letters of its ReplicaSet, five of its own.
        return {"metadata.name": "gateway-0123456789-abcde", "status.podIP": "10.1.2.3"}[at["fieldPath"]]
    assert at["name"] == "leakdrill"
    return (CONFIG if kind == "configMapKeyRef" else SECRET)[at["key"]]


@pytest.mark.parametrize("name", NAMED)
def test_kubernetes_would_take_it(name: str) -> None:
    kubernetes_validate.validate(NAMED[name], kubernetes_validate.latest_version(), strict=True)


def test_a_word_that_kubernetes_does_not_know_would_be_found() -> None:
    one = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a"}, "date": {}}
    with pytest.raises(kubernetes_validate.ValidationError, match="date"):
        kubernetes_validate.validate(one, kubernetes_validate.latest_version(), strict=True)


def test_everything_is_applied_together_except_the_drill() -> None:
    files = {path.name for path in FILES} - {"kustomization.yaml", "drill.yaml"}
    assert set(KUSTOMIZATION["resources"]) == files
    assert len(KUSTOMIZATION["resources"]) == len(files)
    assert NAMED["Namespace/leakdrill"]["metadata"]["name"] == KUSTOMIZATION["namespace"]
    assert NAMED["Job/drill"]["metadata"]["namespace"] == KUSTOMIZATION["namespace"]
    assert KUSTOMIZATION["images"] == [{"name": "leakdrill", "newName": "leakdrill", "newTag": VERSION}]


def test_the_secret_is_everybodys_own() -> None:
    (made,) = KUSTOMIZATION["secretGenerator"]
    assert made == {"name": "leakdrill", "envs": ["secrets.env"]}
    assert "deploy/kubernetes/secrets.env" in (ROOT / ".gitignore").read_text().split()
    assert not [one for one in OBJECTS if one["kind"] == "Secret"]
    assert set(SECRET) == {"PGPASSWORD", "LEAKDRILL_ADMIN_TOKEN", "LEAKDRILL_SECRET_KEY"}
    assert all("$(" in value for value in SECRET.values())


@pytest.mark.parametrize("name", OURS)
def test_a_part_is_started_by_a_command_with_settings_that_there_are(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    (container,) = PODS[name]["spec"]["containers"]
    assert container["image"] == ("leakdrill" if name != "drill" else f"leakdrill:{VERSION}")
    words = [str(word) for word in container["args"]]
    assert words[0] == name
    assert "command" not in container
    options = parsed([word.replace("$(POD_NAME)", "one") for word in words])
    told = environment_of(container)
    assert {one for one in told if one.startswith("LEAKDRILL_")} <= variables()
    for variable, value in told.items():
        monkeypatch.setenv(variable, value)
    found = settings_module.load(**{key: value for key, value in options.items() if key in Settings.model_fields})
    if name in ("gateway", "worker"):
        url = urlsplit(str(found.database))
        assert f"Service/{url.hostname}" in NAMED
        server = environment_of(PODS["postgres"]["spec"]["containers"][0])
        assert (url.username, url.path) == (server["POSTGRES_USER"], f"/{server['POSTGRES_DB']}")
        assert told["PGPASSWORD"] == server["POSTGRES_PASSWORD"]
        mounts = {one["mountPath"]: one["name"] for one in container["volumeMounts"]}
        assert mounts[str(found.data)] == "data"
    if name == "gateway":
        assert found.replica == "gateway-0123456789-abcde"
        assert found.own_url == "http://10.1.2.3:8000"


def test_the_page_knows_a_gateway_and_its_token_alone() -> None:
    (page,), (token,) = PODS["page"]["spec"]["containers"], PODS["page"]["spec"]["initContainers"]
    told = environment_of(page)
    found = PageSettings.from_environment(told)
    assert found.gateway_url == "http://gateway:8000"
    assert found.public_url == CONFIG["LEAKDRILL_PUBLIC_URL"]
    assert f"> {found.tokens_file}" in token["args"][0]
    assert {one["mountPath"] for one in page["volumeMounts"]} == {str(found.tokens_file), "/tmp"}
    assert not {"LEAKDRILL_ADMIN_TOKEN", "LEAKDRILL_SECRET_KEY"} & set(told)


def test_addresses_lead_to_services_and_services_to_ports() -> None:
    services = {name: one for name, one in NAMED.items() if name.startswith("Service/")}
    assert set(services) == {"Service/gateway", "Service/page", "Service/postgres"}
    for one in services.values():
        pod = PODS[one["spec"]["selector"][COMPONENT]]
        assert one["spec"]["selector"].items() <= pod["metadata"]["labels"].items()
        (port,) = one["spec"]["ports"]
        (open_,) = pod["spec"]["containers"][0]["ports"]
        assert (port["targetPort"], port["port"]) == (open_["name"], open_["containerPort"])
    for path in FILES:
        for host, number in re.findall(r"http://([a-z-]+):(\d+)", path.read_text()):
            assert services[f"Service/{host}"]["spec"]["ports"][0]["port"] == int(number)
    assert [one["containerPort"] for one in PODS["gateway"]["spec"]["containers"][0]["ports"]] == [
        Settings.model_fields["port"].default
    ]


@pytest.mark.anyio
async def test_probes_ask_what_there_is(desk: Desk) -> None:
    for name, container in CONTAINERS:
        for kind, probe in container.items():
            if kind.endswith("Probe") and "httpGet" in probe:
                assert probe["httpGet"]["port"] in [one["name"] for one in container["ports"]]
                path = probe["httpGet"]["path"]
                if name == "gateway":
                    assert (await desk.http.get(path)).status_code == 200
                else:
                    assert f"{path}'" in COMPOSE["page"]["healthcheck"]["test"][-1]
    gateway = PODS["gateway"]["spec"]["containers"][0]
    # A database that is away must not have the gateways started again.
    assert gateway["livenessProbe"]["httpGet"]["path"] == "/healthz"
    assert gateway["readinessProbe"]["httpGet"]["path"] == "/readyz"
    scraped = PODS["gateway"]["metadata"]["annotations"]
    assert (await desk.http.get(scraped["prometheus.io/path"])).status_code == 200


@pytest.mark.parametrize("kind", ["Deployment", "StatefulSet", "PodDisruptionBudget"])
def test_a_selector_selects_its_own_pods(kind: str) -> None:
    found = [one for one in OBJECTS if one["kind"] == kind]
    assert found
    for one in found:
        labels = PODS[one["metadata"]["name"]]["metadata"]["labels"]
        assert one["spec"]["selector"]["matchLabels"] == labels


def test_whoever_is_let_in_is_there_and_finds_an_open_port() -> None:
    policies = {name.split("/")[1]: one["spec"] for name, one in NAMED.items() if name.startswith("NetworkPolicy/")}
    assert policies.pop("nobody") == {"podSelector": {}, "policyTypes": ["Ingress"]}
    assert set(policies) == set(PODS) - {"drill"}
    for name, policy in policies.items():
        assert policy["podSelector"] == {"matchLabels": {COMPONENT: name}}
        for rule in policy.get("ingress", ()):
            open_ = {one["containerPort"] for one in PODS[name]["spec"]["containers"][0]["ports"]}
            assert {one["port"] for one in rule["ports"]} == open_
            for source in rule["from"]:
                for words in source.get("podSelector", {}).get("matchExpressions", ()):
                    assert set(words["values"]) <= set(PODS)
        for rule in policy.get("egress", ()):
            for target in rule.get("to", ()):
                other = target["podSelector"]["matchLabels"][COMPONENT]
                # Whom it calls lets it in.
                assert name in str(policies[other]["ingress"])
                assert {one["port"] for one in rule["ports"]} == {
                    one["port"] for allowed in policies[other]["ingress"] for one in allowed["ports"]
                }


@pytest.mark.parametrize("name", PODS)
def test_a_pod_has_no_more_rights_than_it_needs(name: str) -> None:
    spec = PODS[name]["spec"]
    assert spec["automountServiceAccountToken"] is False
    # A service named leakdrill would otherwise set LEAKDRILL_PORT to an address.
    assert spec["enableServiceLinks"] is False
    rights = spec["securityContext"]
    assert rights["runAsNonRoot"] is True
    assert rights["seccompProfile"] == {"type": "RuntimeDefault"}
    if name != "postgres":
        uid, gid = re.findall(r"^USER (\d+):(\d+)$", DOCKERFILE, re.MULTILINE)[0]
        assert (rights["runAsUser"], rights["runAsGroup"], rights["fsGroup"]) == (int(uid), int(gid), int(gid))
    for container in (*spec.get("initContainers", ()), *spec["containers"]):
        assert container["securityContext"] == {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        }
        assert {"cpu", "memory"} <= set(container["resources"]["requests"])
        assert "memory" in container["resources"]["limits"]
        mounts = {one["mountPath"]: one["name"] for one in container["volumeMounts"]}
        assert "/tmp" in mounts
        templates = NAMED["StatefulSet/postgres"]["spec"]["volumeClaimTemplates"] if name == "postgres" else ()
        volumes = {one["name"] for one in spec["volumes"]} | {one["metadata"]["name"] for one in templates}
        assert set(mounts.values()) <= volumes
    claims = [one["persistentVolumeClaim"]["claimName"] for one in spec["volumes"] if "persistentVolumeClaim" in one]
    assert all(f"PersistentVolumeClaim/{claim}" in NAMED for claim in claims)


def test_a_part_is_given_the_time_it_needs_to_leave() -> None:
    assert COMPOSE["worker"]["stop_grace_period"] == "1m"
    assert PODS["worker"]["spec"]["terminationGracePeriodSeconds"] == 60
    gateway = PODS["gateway"]["spec"]
    program, seconds = gateway["containers"][0]["lifecycle"]["preStop"]["exec"]["command"]
    assert program == "sleep"
    assert gateway["terminationGracePeriodSeconds"] > int(seconds) + 3 + 5
    assert NAMED["Deployment/gateway"]["spec"]["replicas"] >= 2
    assert NAMED["PersistentVolumeClaim/data"]["spec"]["accessModes"] == ["ReadWriteMany"]
