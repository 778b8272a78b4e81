"""The servers of a laboratory in compose.yaml; ``make test-servers`` checks it by its schema."""

import re
from importlib.metadata import version

import pytest
import yaml

from tests.conftest import ROOT

TEXT = (ROOT / "compose.yaml").read_text()
SERVICES = yaml.safe_load(TEXT)["services"]


def test_images_have_versions_and_mlflow_is_ours():
    images = [SERVICES[name]["image"] for name in SERVICES]
    images += re.findall(r"^FROM (\S+)$", SERVICES["mlflow"]["build"]["dockerfile_inline"], re.M)
    assert len(images) == 4
    for image in images:
        assert re.search(r":v?\d+\.\d+(\.\d+)?(@sha256:[0-9a-f]{64})?$", image), image
    for image in (SERVICES["mlflow"]["image"], images[-1]):
        assert image.endswith(version("mlflow")), "the server has another version than its clients"


def test_servers_listen_on_this_machine_alone_unless_asked():
    ports = [port for service in SERVICES.values() for port in service["ports"]]
    assert len(ports) == 3
    assert all(port.startswith("${LISTEN:-127.0.0.1}:") for port in ports)
    example = (ROOT / "compose.env.example").read_text()
    assert not [line for line in example.splitlines() if line.startswith("LISTEN")]


@pytest.mark.parametrize(
    "name", sorted(set(re.findall(r"\$\{(\w+)", TEXT)) - {"LISTEN", "MLFLOW_HOSTS"})
)
def test_secrets_come_from_a_file_that_git_ignores(name):
    assert f"${{{name}:?" in TEXT, "without it, the servers would start without a secret"
    assert f"\n{name}=\n" in (ROOT / "compose.env.example").read_text()
    assert "/.env\n" in (ROOT / ".gitignore").read_text()


def test_what_is_kept_lies_in_volumes():
    declared = set(yaml.safe_load(TEXT)["volumes"])
    used = {v.split(":")[0] for s in SERVICES.values() for v in s.get("volumes", ())}
    assert used == declared == {"postgres", "s3_meta", "s3_data"}
