"""Debian's Chromium, and what a page needs that follows documents."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from playwright.async_api import Page, async_playwright

FLAGS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]

# RFC 6902, as somebody would write it who has only read the manual.
PATCHING = r"""
// RFC 6902. A place is where a pointer ends: [the object or array, the member or index].
function place(holder, pointer) {
  let parent = holder, key = "root";
  for (const part of pointer.split("/").slice(1)) {
    parent = parent[key];
    key = part.replaceAll("~1", "/").replaceAll("~0", "~");
    if (Array.isArray(parent)) key = key === "-" ? parent.length : Number(key);
  }
  return [parent, key];
}
function take([parent, key]) {
  if (Array.isArray(parent)) return parent.splice(key, 1)[0];
  const value = parent[key];
  delete parent[key];
  return value;
}
function put([parent, key], value) {
  if (Array.isArray(parent)) parent.splice(key, 0, value); else parent[key] = value;
}
function patched(held, operations) {
  const holder = {root: structuredClone(held)};
  for (const step of operations) {
    if (step.op === "add") put(place(holder, step.path), step.value);
    else if (step.op === "remove") take(place(holder, step.path));
    else if (step.op === "replace") { const [parent, key] = place(holder, step.path); parent[key] = step.value; }
    else if (step.op === "move") { const value = take(place(holder, step.from)); put(place(holder, step.path), value); }
    else if (step.op === "copy") {
      const [parent, key] = place(holder, step.from);
      put(place(holder, step.path), structuredClone(parent[key]));
    } else throw new Error("no such operation: " + step.op);
  }
  return holder.root;
}
"""


@asynccontextmanager
async def browser_page(chromium: str, folder: Path, **options: Any) -> AsyncIterator[Page]:
    """A page in a browser of its own, as long as the context is open; ``options`` are Playwright's."""
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch_persistent_context(
            folder / "browser", executable_path=chromium, args=FLAGS, chromium_sandbox=False, **options
        )
        yield browser.pages[0] if browser.pages else await browser.new_page()
        await browser.close()
