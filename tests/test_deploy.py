"""compose.yaml and deploy/: every name in them exists, in our settings, commands, files and a live scrape."""

import ipaddress
import json
import os
import re
import shlex
import subprocess
import sys
import threading
import tomllib
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import click
import pytest
import yaml

from deployed import DOCKERFILE, IMAGE, ROOT, parsed, variables
from desk import Desk
from frontend.settings import Settings as PageSettings
from gateway import settings as settings_module
from gateway.settings import Settings
from scraping import Figures, answer, read
from scripts.image_steps import build, stages

COMPOSE = yaml.safe_load(
    re.sub(r"\$\{\w+:-([^}]*)\}", r"\1", (ROOT / "compose.yaml").read_text()),
)
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
OURS = {name: service for name, service in SERVICES.items() if service["image"] == "leakdrill"}
PROMETHEUS = yaml.safe_load((ROOT / "deploy" / "prometheus.yml").read_text())
GRAFANA = ROOT / "deploy" / "grafana"
DASHBOARD = json.loads((GRAFANA / "dashboards" / "leakdrill.json").read_text())
PANELS = [panel for panel in DASHBOARD["panels"] if panel["type"] != "row"]
QUERIES = [
    *((panel["title"], target["expr"]) for panel in PANELS for target in panel["targets"]),
    *((one["name"], one["expr"]) for one in DASHBOARD["annotations"]["list"]),
]
LISTENING = {
    "gateway-1": "8001",
    "gateway-2": "8002",
    "proxy": "8000",
    "page": "7860",
    "postgres": "5432",
    "prometheus": "9090",
    "grafana": "3000",
}
IN_DASHBOARD = re.compile(r"leakdrill_[a-z_]+")


def test_the_services_are_two_gateways_workers_and_a_page_behind_a_proxy_on_postgresql_and_two_observers() -> None:
    assert set(OURS) == {"gateway-1", "gateway-2", "worker", "page-token", "page"}
    assert set(SERVICES) - set(OURS) == {"postgres", "proxy", "prometheus", "grafana"}
    profiles = {name: service["profiles"] for name, service in SERVICES.items() if "profiles" in service}
    assert profiles == {"prometheus": ["observe"], "grafana": ["observe"]}
    replicas = [service["environment"].get("LEAKDRILL_REPLICA") for service in OURS.values()]
    assert sorted(filter(None, replicas)) == ["r1", "r2"]
    for name, service in SERVICES.items():
        if name not in OURS:
            assert re.fullmatch(r"[\w./-]+:v?\d[\w.-]*", service["image"]), service["image"]


def commands(service: dict[str, Any]) -> list[list[str]]:
    """Each call of `leakdrill` that a service makes, as words."""
    if service.get("entrypoint") != ["sh", "-c"]:
        assert "entrypoint" not in service
        return [service["command"]]
    (script,) = service["command"]
    return [shlex.split(found) for found in re.findall(r"leakdrill ([^)\n]*)", script)]


def settings_of(name: str, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """The settings with which a part runs: by its image, its environment and its command."""
    for variable, value in {**IMAGE, **OURS[name]["environment"]}.items():
        monkeypatch.setenv(variable, str(value))
    (words,) = commands(OURS[name])
    options = {key: value for key, value in parsed(words).items() if key in Settings.model_fields}
    return settings_module.load(**options)


@pytest.mark.parametrize("name", OURS)
def test_a_part_is_started_by_a_command_with_settings_that_there_are(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    service = OURS[name]
    # The server below the gateway reads one of its own.
    assert set(service["environment"]) - {"FORWARDED_ALLOW_IPS"} <= variables()
    found = settings_of(name, monkeypatch)
    assert found.replica == service["environment"].get("LEAKDRILL_REPLICA", "r1")
    assert str(found.data) in [volume.split(":")[1] for volume in service["volumes"]]
    if name != "page":
        url = urlsplit(str(found.database))
        server = SERVICES["postgres"]["environment"]
        assert (url.hostname, url.username, url.password, url.path) == (
            "postgres",
            server["POSTGRES_USER"],
            server["POSTGRES_PASSWORD"],
            f"/{server['POSTGRES_DB']}",
        )


@pytest.mark.parametrize("words", [["gateway", "--ports", "1"], ["worker", "--slots", "none"], ["tokens", "issued"]])
def test_a_command_that_the_program_does_not_know_would_be_found(words: list[str]) -> None:
    with pytest.raises(click.UsageError):
        parsed(words)


@pytest.mark.parametrize("name", ["gateway-1", "gateway-2"])
def test_a_gateway_is_where_it_says_as_this_machine_sees_it(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A drill asks one gateway for the addresses of all."""
    found = settings_of(name, monkeypatch)
    assert found.host == "0.0.0.0"
    assert str(found.port) == LISTENING[name]
    assert [f"http://{port.rpartition(':')[0]}" for port in OURS[name]["ports"]] == [found.own_url]
    # The image's own check looks there.
    assert "healthcheck" not in OURS[name]
    assert OURS[name]["environment"]["LEAKDRILL_PORT"] == str(found.port)


def test_the_images_check_asks_the_gateway_on_its_port() -> None:
    line = DOCKERFILE[DOCKERFILE.index("CMD", DOCKERFILE.index("HEALTHCHECK")) :].splitlines()[0]
    program, *words = json.loads(line.removeprefix("CMD "))
    assert (program, words[0]) == ("python", "-c")
    asked: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            self.send_response(200 if len(asked) == 1 else 503)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Keeps quiet."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        # A proxy of the environment must not be asked for this machine's own gateway.
        own = {**os.environ, "LEAKDRILL_PORT": str(server.server_port), "http_proxy": "http://127.0.0.1:1"}
        ends = [
            subprocess.run([sys.executable, *words], env=own, stderr=subprocess.DEVNULL, timeout=30).returncode
            for _ in range(2)
        ]
        server.shutdown()
    assert (ends, asked) == ([0, 1], ["/readyz", "/readyz"])


def test_the_proxy_knows_every_gateway_and_is_what_links_name(monkeypatch: pytest.MonkeyPatch) -> None:
    told = SERVICES["proxy"]["environment"]
    gateways = [name for name, service in OURS.items() if service["command"][0] == "gateway"]
    assert told["GATEWAYS"].split() == [f"{name}:{LISTENING[name]}" for name in gateways]
    (port,) = SERVICES["proxy"]["ports"]
    for name in gateways:
        assert settings_of(name, monkeypatch).public_url == f"http://{port.rpartition(':')[0]}"
    config = (ROOT / "deploy" / "Caddyfile").read_text()
    assert set(told) <= set(re.findall(r"\{\$(\w+)", config))
    # Whom the gateways believe, the proxy believes too, and that is this network and nobody else.
    (network,) = COMPOSE["networks"]["default"]["ipam"]["config"]
    assert ipaddress.ip_network(network["subnet"]).is_private
    assert told["TRUSTED_PROXIES"] == network["subnet"]
    assert {one["environment"].get("FORWARDED_ALLOW_IPS", network["subnet"]) for one in OURS.values()} == {
        network["subnet"]
    }


@pytest.mark.parametrize("name", [*OURS, "proxy"])
def test_a_part_has_no_more_rights_than_it_needs(name: str) -> None:
    service = SERVICES[name]
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert "privileged" not in service


def test_the_page_understands_what_it_is_told() -> None:
    told = {**IMAGE, **OURS["page"]["environment"]}
    found = PageSettings.from_environment(told)
    assert (found.host, str(found.port)) == ("0.0.0.0", LISTENING["page"])
    assert str(found.tokens_file) == told["LEAKDRILL_PAGE_TOKENS_FILE"]
    assert found.gateway_url == told["LEAKDRILL_GATEWAY_URL"]
    assert f"http://127.0.0.1:{found.port}/state" in " ".join(OURS["page"]["healthcheck"]["test"])


def test_the_page_reads_the_file_that_its_token_is_written_to() -> None:
    file = OURS["page"]["environment"]["LEAKDRILL_PAGE_TOKENS_FILE"]
    (script,) = OURS["page-token"]["command"]
    assert f"> {file}" in script
    assert f"--target {OURS['page']['environment']['LEAKDRILL_GATEWAY_URL']}" in script
    assert OURS["page"]["depends_on"]["page-token"]["condition"] == "service_completed_successfully"


@pytest.mark.parametrize("name", SERVICES)
def test_ports_paths_and_services_that_a_service_names_exist(name: str) -> None:
    service = SERVICES[name]
    for port in service.get("ports", ()):
        address, _, inner = port.rpartition(":")
        assert address.startswith("127.0.0.1:")
        assert inner == LISTENING[name]
    for volume in service.get("volumes", ()):
        source = volume.split(":")[0]
        assert (ROOT / source).exists() if source.startswith(".") else source in COMPOSE["volumes"]
    assert set(service.get("depends_on", ())) <= set(SERVICES)
    for address in re.findall(r"https?://([a-z0-9.-]+):(\d+)", json.dumps(service)):
        host, inner = address
        assert host == "127.0.0.1" or inner == LISTENING[host]


def test_no_two_services_publish_the_same_port() -> None:
    published = [port.rpartition(":")[0] for service in SERVICES.values() for port in service.get("ports", ())]
    assert len(published) == len(set(published)) == 6


def test_the_image_listens_where_it_is_published_and_brings_the_driver() -> None:
    assert f"EXPOSE {Settings.model_fields['port'].default} {LISTENING['page']}" in DOCKERFILE
    assert re.search(r"^USER 10001:10001$", DOCKERFILE, re.MULTILINE)
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    assert f'org.opencontainers.image.version="{version}"' in DOCKERFILE
    assert set(IMAGE) <= variables()
    assert "-r requirements-postgres.txt" in DOCKERFILE
    pins = (ROOT / "requirements-postgres.txt").read_text()
    assert re.search(r"^psycopg-binary==", pins, re.MULTILINE)
    allowed = (ROOT / ".dockerignore").read_text().split()
    for copied in re.findall(r"^COPY (?!--)(.*) \S+$", DOCKERFILE, re.MULTILINE):
        for one in copied.split():
            assert (ROOT / one).exists()
            assert f"!{one}" in allowed or one == "pyproject.toml"


def test_the_image_is_built_from_what_the_wheel_holds_and_nothing_else(tmp_path: Path) -> None:
    """The COPY lines as they are; `scripts/image_steps.py` plays the others too, which takes minutes."""
    build([(word, rest) for word, rest in stages(DOCKERFILE)[0] if word == "COPY"], tmp_path)
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["hatch"]["build"]["targets"]["wheel"]
    folders = {*project["packages"], *project["force-include"]}
    copied = {str(path.relative_to(tmp_path / "src")) for path in (tmp_path / "src").rglob("*")}
    assert folders <= copied
    assert {name.split("/")[0] for name in copied} - {name.split("/")[0] for name in folders} == {
        "requirements.txt",
        "requirements-postgres.txt",
        "pyproject.toml",
        "README.md",
        "LICENSE",
    }


def test_a_copy_that_the_context_does_not_hold_would_be_found(tmp_path: Path) -> None:
    with pytest.raises(SystemExit, match="COPY tests finds nothing"):
        build([("COPY", "tests tests")], tmp_path)


@pytest.mark.anyio
async def test_prometheus_asks_the_gateways_where_they_answer(desk: Desk) -> None:
    (job,) = PROMETHEUS["scrape_configs"]
    (group,) = job["static_configs"]
    gateways = {name for name, service in OURS.items() if service["command"][0] == "gateway"}
    assert set(group["targets"]) == {f"{name}:{LISTENING[name]}" for name in gateways}
    assert (await desk.http.get(job["metrics_path"])).status_code == 200


def test_grafana_finds_its_source_and_its_dashboard() -> None:
    (source,) = yaml.safe_load((GRAFANA / "provisioning" / "datasources" / "prometheus.yaml").read_text())[
        "datasources"
    ]
    url = urlsplit(source["url"])
    assert (url.hostname, str(url.port)) == ("prometheus", LISTENING["prometheus"])
    (provider,) = yaml.safe_load((GRAFANA / "provisioning" / "dashboards" / "leakdrill.yaml").read_text())["providers"]
    mounts = dict(volume.split(":")[:2] for volume in SERVICES["grafana"]["volumes"])
    assert mounts["./deploy/grafana/provisioning"] == "/etc/grafana/provisioning"
    assert mounts["./deploy/grafana/dashboards"] == provider["options"]["path"]
    home = SERVICES["grafana"]["environment"]["GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH"]
    assert home == f"{provider['options']['path']}/leakdrill.json"
    used = {panel["datasource"]["uid"] for panel in PANELS}
    used |= {target["datasource"]["uid"] for panel in PANELS for target in panel["targets"]}
    used |= {one["datasource"]["uid"] for one in DASHBOARD["annotations"]["list"]}
    assert used == {source["uid"]}


def test_every_panel_has_a_title_a_unit_and_a_place_of_its_own() -> None:
    assert len(PANELS) > 20
    assert len({panel["id"] for panel in DASHBOARD["panels"]}) == len(DASHBOARD["panels"])
    assert len({panel["title"] for panel in PANELS}) == len(PANELS)
    taken: set[tuple[int, int]] = set()
    for panel in DASHBOARD["panels"]:
        place = panel["gridPos"]
        across = range(place["x"], place["x"] + place["w"])
        cells = {(x, y) for x in across for y in range(place["y"], place["y"] + place["h"])}
        assert not cells & taken, panel["title"]
        assert max(across) < 24
        taken |= cells
    assert {panel["title"] for panel in PANELS if not panel["fieldConfig"]["defaults"].get("unit")} == set()


async def live(desk: Desk) -> Figures:
    """A scrape in which every metric has a sample."""
    headers = await desk.bearer()
    await desk.create(headers)
    await desk.finished()
    await desk.http.get("/v1/videos/none", headers=headers)
    await desk.context.usage.flush(desk.store)
    return read((await answer(desk)).text)


@pytest.mark.anyio
async def test_every_query_of_the_dashboard_is_about_what_a_scrape_says(desk: Desk) -> None:
    figures = await live(desk)
    labels: dict[str, set[str]] = {}
    for name, pairs in figures.samples:
        labels.setdefault(name, {"instance"}).update(dict(pairs))
    for title, query in QUERIES:
        names = IN_DASHBOARD.findall(query)
        assert names, title
        assert set(names) <= set(labels), (title, query)
        known = set[str]().union(*(labels[name] for name in names))
        asked = {label.strip() for group in re.findall(r"\bby \(([^)]*)\)", query) for label in group.split(",")}
        asked |= set(re.findall(r'(\w+)(?:=~|!~|!=|=)"', query))
        assert asked <= known, (title, query)
        shared = all("replica" not in labels[name] for name in names)
        # What every gateway says alike must not be added up over gateways; what each says of itself must be.
        if shared:
            assert re.search(r"\bmax\b", query), (title, query)
            assert not re.search(r"\bsum\b(?! by \(instance\))", query), (title, query)
        else:
            assert "replica" in query or re.search(r"\bsum\b", query), (title, query)
        assert query.count("(") == query.count(")"), query


@pytest.mark.anyio
async def test_the_dashboard_shows_every_metric(desk: Desk) -> None:
    shown = {re.sub(r"_bucket$", "", name) for _, query in QUERIES for name in IN_DASHBOARD.findall(query)}
    kinds = (await live(desk)).kinds
    every = {name + ("_total" if kind == "counter" else "") for name, kind in kinds.items()}
    assert every - shown == {"leakdrill_build_info", "leakdrill_workers"}
