"""What the compose files promise, read from the files."""

import importlib.util
import json
import re
import shutil
import subprocess

import pytest
import yaml

from launcher import CLONE
from ml_backend import worker
from ml_backend.serving import LIMITS

DOCKER = CLONE / "docker"
FILES = {path.name: path for path in sorted(DOCKER.glob("compose*.yaml"))}
# Each file alone is not a deployment: these are.
DEPLOYMENTS = {
    "one host": ["compose.yaml"],
    "one host with a GPU": ["compose.yaml", "compose.gpu.yaml"],
    "central host": ["compose.yaml", "compose.shared.yaml"],
    "worker host": ["compose.worker.yaml"],
    "hospital": ["compose.importer.yaml"],
}
_VARIABLE = re.compile(r"(?<!\$)\$\{(\w+)(?::([?-])([^}]*))?\}")
# Its image writes beside its data when it starts.
NOT_READ_ONLY = {"label-studio"}
_SECRET = re.compile(r"PASSWORD|SECRET|KEY|TOKEN")


def example() -> dict[str, str]:
    lines = (DOCKER / ".env.example").read_text().splitlines()
    return dict(line.split("=", 1) for line in lines if line and not line.startswith("#"))


def filled(text: str) -> str:
    """A file with the variables' defaults in it, and x in the place of what has none."""
    return _VARIABLE.sub(lambda found: found[3] if found[2] == "-" else "x", text)


def services(name):
    return yaml.safe_load(filled(FILES[name].read_text()))["services"]


def merged(names):
    """Services of an overlay, keys of the later file over those of the earlier."""
    whole: dict = {}
    for name in names:
        for service, keys in services(name).items():
            whole[service] = {**whole.get(service, {}), **keys}
    return whole


@pytest.mark.parametrize("deployment", DEPLOYMENTS)
def test_every_service_is_hardened_and_watched(deployment):
    for name, service in merged(DEPLOYMENTS[deployment]).items():
        assert "restart" in service, name
        assert "healthcheck" in service, name
        assert service["cap_drop"] == ["ALL"], name
        assert "cap_add" not in service, name
        assert service["security_opt"] == ["no-new-privileges:true"], name
        assert not service.get("privileged"), name
        assert service["logging"]["options"]["max-size"], name
        if name not in NOT_READ_ONLY:
            assert service["read_only"] is True, name
            assert service["tmpfs"], name


def test_the_services_that_restart_are_told_when_they_are_not_well():
    off = [
        (file, name)
        for file in FILES
        for name, service in services(file).items()
        if service.get("healthcheck", {}).get("disable")
    ]
    # It runs once and ends.
    assert off == [("compose.importer.yaml", "importer")]
    assert services("compose.importer.yaml")["importer"]["restart"] == "no"


@pytest.mark.parametrize("name", FILES)
def test_ports_are_published_on_the_loopback_unless_somebody_says_otherwise(name):
    for service in services(name).values():
        for port in service.get("ports", []):
            assert port.startswith("127.0.0.1:"), port


def test_variables_are_all_in_the_example_and_the_example_has_no_others():
    used = {v[1] for path in FILES.values() for v in _VARIABLE.finditer(path.read_text())}
    assert used == set(example())


@pytest.mark.parametrize("name", FILES)
def test_no_secret_has_a_default(name):
    for found in _VARIABLE.finditer(FILES[name].read_text()):
        if _SECRET.search(found[1]):
            assert found[2] == "?", f"{found[1]} would be empty without a word"
            assert example()[found[1]] == ""
    # Nor is one written where a variable should stand.
    for service in yaml.safe_load(FILES[name].read_text())["services"].values():
        for variable, value in service.get("environment", {}).items():
            if _SECRET.search(variable) and "ENABLE" not in variable:
                assert str(value).startswith("${"), variable


@pytest.mark.parametrize("name", FILES)
def test_images_are_pinned_to_a_version(name):
    for service in services(name).values():
        image = service.get("image", "quorum:")
        assert image.startswith("quorum") or re.search(r":\d+\.\d+\.?\d*", image), image


def test_label_studio_accepts_a_private_backend_and_keeps_its_data_in_postgresql():
    environment = services("compose.yaml")["label-studio"]["environment"]
    assert environment["LABEL_STUDIO_ML_BLOCK_LOCAL_IP"] == "false"
    assert environment["LABEL_STUDIO_SSRF_PROTECTION_ENABLED"] == "false"
    assert (environment["DJANGO_DB"], environment["POSTGRE_HOST"]) == ("default", "postgres")


def test_database_queue_and_workers_have_no_route_out():
    whole = yaml.safe_load(filled(FILES["compose.yaml"].read_text()))
    assert all(whole["networks"][name]["internal"] is True for name in ("inside", "queue"))
    for name in ("postgres", "redis", "worker", "attendant"):
        assert set(whole["services"][name]["networks"]) <= {"inside", "queue"}


def test_whoever_may_have_workers_run_code_is_none_but_quorum():
    """Jobs name the functions that workers call."""
    found = services("compose.yaml")
    on_queue = {name for name, each in found.items() if "queue" in each.get("networks", ())}
    assert on_queue == {"redis", "backend", "worker", "attendant"}
    assert found["redis"]["networks"] == ["queue"] and "ports" not in found["redis"]


def test_the_importer_reaches_the_relay_and_nothing_else():
    whole = yaml.safe_load(filled(FILES["compose.importer.yaml"].read_text()))
    importer, gateway = whole["services"]["importer"], whole["services"]["gateway"]
    assert importer["networks"] == ["sealed"]
    assert whole["networks"]["sealed"]["internal"] is True
    address = gateway["networks"]["sealed"]["ipv4_address"]
    assert importer["extra_hosts"] == [f"x:{address}"]
    assert importer["dns"] == ["127.0.0.1"]
    assert importer["volumes"][0] == "x:/inbox:ro"
    assert set(whole["services"]) == {"importer", "gateway"}
    assert "ports" not in importer | gateway


@pytest.mark.parametrize("name", FILES)
def test_entry_scripts_are_there_and_can_be_run(name):
    text = FILES[name].read_text()
    for script in set(re.findall(r"/(entry/\w+\.sh)", text)):
        assert (DOCKER / script).stat().st_mode & 0o111 == 0o111


def test_nobody_is_killed_before_their_own_grace_is_over():
    def stop_s(file, service):
        return int(services(file)[service]["stop_grace_period"].removesuffix("s"))

    for file in ("compose.yaml", "compose.worker.yaml"):
        assert stop_s(file, "worker") >= worker._GRACE_S + 10
    assert "-m ml_backend.serving" in (DOCKER / "entry" / "backend.sh").read_text()
    assert stop_s("compose.yaml", "backend") >= LIMITS.stop_s + 5


def test_whoever_calls_label_studio_is_given_the_authority_that_is_named():
    for file, names in (
        ("compose.yaml", ("backend", "worker", "attendant")),
        ("compose.worker.yaml", ("worker",)),
        ("compose.importer.yaml", ("importer",)),
    ):
        text = yaml.safe_load(FILES[file].read_text())["services"]
        for name in names:
            assert text[name]["environment"]["QUORUM_CA_FILE"] == "${QUORUM_CA_FILE:-}"
            assert "./authorities:/authorities:ro" in text[name]["volumes"]


def test_the_readme_lets_out_whoever_fetches_images_and_has_no_way_out():
    text = (DOCKER / "README.md").read_text()
    added = yaml.safe_load(re.search(r"```yaml\n(.*?)```", text, re.S)[1])["services"]
    out = {name for name, each in added.items() if "front" in each["networks"]}
    inside = services("compose.yaml")
    without = {
        name
        for name, each in inside.items()
        if "QUORUM_IMAGE_HOSTS" in each.get("environment", {}) and "front" not in each["networks"]
    }
    assert out == without == {"worker", "attendant"}


def test_the_commands_of_the_readme_are_in_the_image():
    """Every module and script that it says to run, but those of later arguments."""
    text = (DOCKER / "README.md").read_text()
    modules = set(re.findall(r"run\.sh python -m ([\w.]+)", text))
    assert {"ml_backend.check", "ml_backend.manage", "launcher.backup"} <= modules
    for module in modules:
        found = importlib.util.find_spec(module)
        assert found is not None, module
        if found.submodule_search_locations:
            assert importlib.util.find_spec(f"{module}.__main__"), f"{module} cannot be run"
    for script in re.findall(r"/app/(entry/\w+\.sh)", text):
        assert (DOCKER / script).stat().st_mode & 0o111 == 0o111


@pytest.mark.parametrize("name", FILES)
def test_the_files_are_what_the_compose_specification_says(name):
    compose_spec = pytest.importorskip("compose_spec")
    whole = yaml.safe_load(filled(FILES[name].read_text()))
    compose_spec.PyCompose.from_json(json.dumps(whole))


@pytest.mark.parametrize("deployment", DEPLOYMENTS)
def test_docker_compose_accepts_the_files(deployment, tmp_path):
    program = shutil.which("docker-compose")
    if program is None:
        pytest.skip("docker-compose is not installed")
    options = []
    for name in DEPLOYMENTS[deployment]:
        # The first docker-compose, which Debian 12 has, knows all but the project's name.
        text = FILES[name].read_text()
        (tmp_path / name).write_text(re.sub(r"^name:.*\n", "", text, flags=re.M))
        options += ["-f", str(tmp_path / name)]
    values = {name: value or "/x" for name, value in example().items()}
    done = subprocess.run(
        [program, "--project-name", "tests", *options, "config"],
        env={"PATH": "/usr/bin:/bin:/usr/local/bin", **values},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr


def test_the_readme_names_every_file_and_none_that_is_not_there():
    text = (DOCKER / "README.md").read_text()
    assert set(re.findall(r"compose[.\w]*\.yaml", text)) == set(FILES)
    for found in re.finditer(r"\]\(([^)h][^)]*)\)", text):
        assert (DOCKER / found[1].partition("#")[0]).exists(), found[1]
    # What it tells to set is in the example.
    named = set(
        re.findall(r"\b((?:TLS|QUORUM_(?:REDIS|STORE|INBOX|HOSPITAL))_?[A-Z_]*[A-Z])\b", text)
    )
    assert {n for n in named if "_" in n} - {"QUORUM_REDIS_URL_FILE"} <= set(example())


def test_label_studio_calls_the_backend_past_a_proxy_that_docker_sets():
    """The lower name comes first for most programs, and some know but one of the two."""
    environment = services("compose.yaml")["label-studio"]["environment"]
    for name in ("no_proxy", "NO_PROXY"):
        assert set(environment[name].split(",")) == {"backend", "localhost", "127.0.0.1"}
