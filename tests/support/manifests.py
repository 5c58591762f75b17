"""The manifests that a chart like the guide's renders, as wrong as a test wants them.

The value keys are those of the Coder v1 chart; texts and layout are our own.
"""

from __future__ import annotations

import base64
from pathlib import Path

HOST = "registry.local"
VERSION = "1.44.3"


def coderd(
    *,
    image: str = f"{HOST}/coderenvs/coder-service:{VERSION}",
    envbox: str = f"{HOST}/coderenvs/envbox:{VERSION}",
    extra: str = "",
) -> str:
    """The coderd Deployment; `extra` is put into the pod's spec."""
    return f"""---
# Source: coder/templates/coderd.yaml
apiVersion: apps/v1
kind: Deployment
metadata:
  name: coderd
  namespace: coder
  annotations:
    kubectl.kubernetes.io/last-applied-configuration: '{{"token":"annotation-s3cret"}}'
  labels: {{app: coderd}}
spec:
  replicas: 2
  selector:
    matchLabels: {{app: coderd}}
  template:
    metadata:
      labels: {{app: coderd}}
    spec:
{extra}      initContainers:
        - name: migrations
          image: {image}
          command: [coder, migrate, --password=command-s3cret]
      containers:
        - name: coderd
          image: "{image}"  # the service
          imagePullPolicy: Always
          env:
            - name: DB_PASSWORD
              value: env-s3cret
            - name: ENVBOX_IMAGE
              value: {envbox}
            - name: DB_HOST
              value: timescale.coder.svc:5432
          livenessProbe:
            httpGet: {{path: "/healthz?token=probe-s3cret", port: 8080}}
          volumeMounts:
            - name: local-registry-cert
              mountPath: /etc/ssl/certs/registry.crt
              subPath: registry.crt
      volumes:
        - name: local-registry-cert
          secret:
            secretName: local-registry-cert
"""


def timescale(*, image: str = "docker.io/coderenvs/timescale:1.25.0") -> str:
    """The database StatefulSet."""
    return f"""---
# Source: coder/templates/timescale.yaml
apiVersion: apps/v1
kind: StatefulSet
metadata:
  name: timescale
spec:
  serviceName: timescale
  template:
    spec:
      containers:
        - name: timescale
          image: {image}
"""


def secret(values: dict[str, bytes], *, name: str = "local-registry-cert") -> str:
    """A Secret as `kubectl create secret generic --from-file` writes it."""
    data = "".join(
        f"  {key}: {base64.b64encode(value).decode()}\n" for key, value in values.items()
    )
    return f"""apiVersion: v1
kind: Secret
metadata:
  name: {name}
  namespace: coder
type: Opaque
data:
{data}"""


NAMESPACE = "apiVersion: v1\nkind: Namespace\nmetadata:\n  name: coder\n"


def write(folder: Path, files: dict[str, str | bytes]) -> Path:
    """The files below `folder`, folders made as needed."""
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return folder
