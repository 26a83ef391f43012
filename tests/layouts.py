"""What is wrong with how a page is laid out, as far as it can be measured: what a screenshot shows at a glance."""

from __future__ import annotations

from playwright.async_api import Page

# Text that is out of sight on purpose: cut with an ellipsis, or inside what scrolls downwards.
_MEASURE = r"""
() => {
  const seen = [], boxes = [], root = document.documentElement;
  if (root.scrollWidth > root.clientWidth) seen.push(`the page scrolls sideways, ${root.scrollWidth} pixels`);
  const texts = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  for (let node; (node = texts.nextNode());) {
    const own = node.parentElement, text = node.data.trim().slice(0, 40);
    if (!text || !own.checkVisibility() || own.closest(".skip, option, noscript, .preview")) continue;
    const scroller = own.closest("pre, textarea")?.getBoundingClientRect();
    const range = document.createRange();
    range.selectNodeContents(node);
    for (const box of range.getClientRects()) {
      if (box.width < 1 || box.height < 1) continue;
      if (scroller && (box.bottom > scroller.bottom || box.top < scroller.top)) continue;
      if (box.right > root.clientWidth + 1 || box.left < -1) seen.push(`beside the screen: ${text}`);
      boxes.push([node, box, text]);
    }
  }
  boxes.forEach(([one, a, text], at) => {
    for (const [other, b, words] of boxes.slice(at + 1)) {
      const width = Math.min(a.right, b.right) - Math.max(a.left, b.left);
      const height = Math.min(a.bottom, b.bottom) - Math.max(a.top, b.top);
      if (one !== other && width > 2 && height > 4) seen.push(`on top of each other: ${text} / ${words}`);
    }
  });
  for (const one of document.querySelectorAll("body *")) {
    if (!one.checkVisibility() || !one.clientWidth || one.closest("svg, select, textarea, .preview")) continue;
    const {overflowX, display} = getComputedStyle(one);
    if (one.scrollWidth > one.clientWidth + 1 && overflowX !== "visible" && display !== "inline")
      seen.push(`scrolls sideways: ${one.tagName}.${one.className}`);
  }
  return [...new Set(seen)].slice(0, 10);
}
"""


async def untidiness(page: Page) -> list[str]:
    """Say what overlaps, what is beside the screen, and what scrolls sideways; nothing, if all is well."""
    found: list[str] = await page.evaluate(_MEASURE)
    return found
