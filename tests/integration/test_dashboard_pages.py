"""The dashboard's own files: what a browser is told about them, and that they come with the package."""

from __future__ import annotations

import re
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from backends import ScriptedBackend
from gateways import http_client, route, running_gateway

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "src/pushgate/adapters/admin/dashboard"
MAX_LINES = 300


async def test_a_page_that_asks_nobody_else(backend: ScriptedBackend) -> None:
    """No script in it, none of anybody else's, and nobody may show it inside a page of theirs."""
    async with running_gateway(backend, {"/rows": route()}) as gateway, http_client(base_url=gateway.admin) as client:
        page = await client.get("/")
        assert page.headers["Content-Type"] == "text/html; charset=utf-8"
        policy = page.headers["Content-Security-Policy"]
        assert "script-src 'self'" in policy
        assert "unsafe" not in policy
        assert "frame-ancestors 'none'" in policy
        assert page.headers["X-Frame-Options"] == "DENY"
        assert page.headers["X-Content-Type-Options"] == "nosniff"
        assert page.headers["Referrer-Policy"] == "no-referrer"
        named = re.findall(r'(?:href|src)="([^"#]+)"', page.text)
        assert named
        for name in {*named, *(f"dashboard/{file.name}" for file in FOLDER.iterdir())}:
            assert (await client.get(f"/{name}")).status_code == 200, name


async def test_it_is_not_sent_again(backend: ScriptedBackend) -> None:
    """Whoever has it is told that it is still the same; another version has another tag."""
    async with running_gateway(backend, {"/rows": route()}) as gateway, http_client(base_url=gateway.admin) as client:
        first = await client.get("/dashboard/main.js")
        assert first.headers["Cache-Control"] == "no-cache"
        again = await client.get("/dashboard/main.js", headers={"If-None-Match": first.headers["ETag"]})
        assert (again.status_code, again.content) == (304, b"")
        assert (await client.get("/", headers={"If-None-Match": first.headers["ETag"]})).status_code == 200
        assert (await client.head("/")).headers["Content-Length"] == str(len((await client.get("/")).content))
        assert (await client.get("/dashboard/../pages.py")).status_code == 404
        assert (await client.get("/dashboard/nothing.js")).status_code == 404
        assert (await client.post("/")).status_code == 405


@pytest.mark.parametrize("file", sorted(FOLDER.iterdir()), ids=lambda file: file.name)
def test_its_files_are_small_and_make_no_markup_of_data(file: Path) -> None:
    """Text is only ever text: what a backend says can be no element of the page."""
    text = file.read_text()
    assert len(text.splitlines()) <= MAX_LINES
    assert not re.search(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\(|new Function", text)
    assert not re.search(r"https?://(?!www\.w3\.org/)[\w.]+\.\w", text)


@pytest.mark.timeout(120)
def test_the_wheel_has_them(tmp_path: Path) -> None:
    """An installed pushgate needs no source tree to show its dashboard."""
    command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--wheel-dir", str(tmp_path), str(ROOT)]
    built = subprocess.run(command, check=False, capture_output=True, text=True, timeout=110)
    if built.returncode and "hatchling" in built.stderr:
        pytest.skip("hatchling, with which the package is built, cannot be fetched here")
    assert built.returncode == 0, built.stderr
    (wheel,) = tmp_path.glob("*.whl")
    names = {name.rpartition("/")[2] for name in zipfile.ZipFile(wheel).namelist() if "/admin/dashboard/" in name}
    assert names == {file.name for file in FOLDER.iterdir()}
