"""The gate and its hooks, built by kubectl and held to the schemas of Kubernetes, Argo and Flux."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import jsonschema
import kubernetes_validate
import pytest
from ruamel.yaml import YAML
from support import needs
from support.certs import authority
from support.pages import ROOT

EXAMPLES = ROOT / "examples"
ARGO = ("github.com/argoproj/argo-cd/v2@v2.14.0", "manifests/crds/application-crd.yaml")
FLUX = (
    "github.com/fluxcd/kustomize-controller@v1.6.0",
    "config/crd/bases/kustomize.toolkit.fluxcd.io_kustomizations.yaml",
)
KUBERNETES = "1.31"


def documents(text: str) -> list[dict[str, Any]]:
    return [each for each in YAML(typ="safe", pure=True).load_all(text) if each]


def built(folder: Path, name: str) -> dict[str, dict[str, Any]]:
    """What kubectl makes of examples/NAME, by kind; the site's CA is in its place."""
    shutil.copytree(EXAMPLES, folder / "examples")
    (folder / "examples/gate/ca.crt").write_bytes(authority().pem)
    words = [needs.program("kubectl"), "kustomize", str(folder / "examples" / name)]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return {each["kind"]: each for each in documents(done.stdout)}


def definition(module: str, path: str) -> dict[str, Any]:
    """The newest schema of a custom resource, closed: an unknown key is refused."""
    words = [needs.program("go"), "mod", "download", "-json", module]
    done = subprocess.run(words, cwd="/", capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    text = (Path(json.loads(done.stdout)["Dir"]) / path).read_text()
    (crd,) = documents(text)
    stored = next(each for each in crd["spec"]["versions"] if each["storage"])
    return closed(stored["schema"]["openAPIV3Schema"])


def closed(schema: Any) -> Any:
    """`schema` as an API server with strict fields takes it."""
    if isinstance(schema, list):
        return [closed(each) for each in schema]
    if not isinstance(schema, dict):
        return schema
    made = {key: closed(value) for key, value in schema.items()}
    if isinstance(made.get("properties"), dict) and "type" in made:
        made.setdefault("additionalProperties", False)
    if made.get("properties", {}).get("metadata") == {"type": "object"}:
        made["properties"]["metadata"] = {"type": "object"}
    return made


@pytest.mark.parametrize("name", ["gate", "argo-cd"])
def test_objects_of_the_gate_fit_kubernetes(name: str, tmp_path: Path) -> None:
    objects = built(tmp_path, name)
    assert set(objects) == {"ConfigMap", "Job"}
    for each in objects.values():
        kubernetes_validate.validate(each, KUBERNETES, strict=True)


def test_schema_of_kubernetes_refuses_a_misspelt_key(tmp_path: Path) -> None:
    job = built(tmp_path, "gate")["Job"]
    job["spec"]["template"]["spec"]["containers"][0]["arg"] = ["check"]
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(job, KUBERNETES, strict=True)


def test_argo_runs_the_site_file_first_and_then_the_job(tmp_path: Path) -> None:
    objects = built(tmp_path, "argo-cd")
    notes = {kind: each["metadata"]["annotations"] for kind, each in objects.items()}
    assert {each["argocd.argoproj.io/hook"] for each in notes.values()} == {"PreSync"}
    assert notes["ConfigMap"]["argocd.argoproj.io/sync-wave"] == "-1"


def test_job_uses_the_account_and_the_image_of_gapcheck(tmp_path: Path) -> None:
    objects = built(tmp_path, "gate")
    pod = objects["Job"]["spec"]["template"]["spec"]
    assert pod["containers"][0]["image"] == "registry.local/tools/gapcheck:0.1.0"
    site = tmp_path / "examples/gate/site.yaml"
    words = ["export", "rbac", "--for", "check", "--namespace", "gapcheck", "--site", str(site)]
    done = gapcheck(*words)
    assert done.returncode == 0, done.stderr
    account = next(each for each in documents(done.stdout) if each["kind"] == "ServiceAccount")
    assert account["metadata"]["name"] == pod["serviceAccountName"]
    assert account["metadata"]["namespace"] == objects["Job"]["metadata"]["namespace"]


def test_command_of_the_job_is_one_that_gapcheck_takes(tmp_path: Path) -> None:
    objects = built(tmp_path, "gate")
    folder = tmp_path / "site"
    folder.mkdir()
    for name, text in objects["ConfigMap"]["data"].items():
        (folder / name).write_text(text)
    (container,) = objects["Job"]["spec"]["template"]["spec"]["containers"]
    words = [word.replace("/site/", f"{folder}/") for word in container["args"]]
    done = gapcheck(*words, "--select", "NO-SUCH")  # refused last, when all else was understood
    assert done.returncode == 4
    assert "NO-SUCH" in done.stderr


def gapcheck(*words: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "gapcheck", *words]
    return subprocess.run(command, capture_output=True, text=True, check=False)


@pytest.mark.parametrize(
    ("path", "crd"),
    [("argo-cd/application.yaml", ARGO), ("flux/gate.yaml", FLUX), ("flux/release.yaml", FLUX)],
    ids=["application", "flux gate", "flux release"],
)
def test_custom_resource_fits_its_definition(path: str, crd: tuple[str, str]) -> None:
    schema = definition(*crd)
    (resource,) = documents((EXAMPLES / path).read_text())
    jsonschema.validate(resource, schema)
    resource["spec"]["misspelt"] = True
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(resource, schema)


def test_release_of_flux_depends_on_the_gate() -> None:
    (gate,) = documents((EXAMPLES / "flux/gate.yaml").read_text())
    (release,) = documents((EXAMPLES / "flux/release.yaml").read_text())
    assert release["spec"]["dependsOn"] == [{"name": gate["metadata"]["name"]}]
    assert gate["spec"]["wait"] is True
