"""What `python -m delivery` makes of this checkout, once for all tests of it."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.deliveries import build


@pytest.fixture(scope="session")
def delivered(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder with every part."""
    out = tmp_path_factory.mktemp("delivered")
    build(out)
    return out
