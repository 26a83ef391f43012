// Making and changing elements. Text is only ever text: nothing here reads markup.

const SVG = "http://www.w3.org/2000/svg";

/** Make an element: its attributes, and what is in it (elements, texts, null for nothing). */
export function el(name, attributes = {}, ...children) {
  return fill(document.createElement(name), attributes, children);
}

/** Make an element of a drawing. */
export function svg(name, attributes = {}, ...children) {
  return fill(document.createElementNS(SVG, name), attributes, children);
}

function fill(node, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else setAttribute(node, name, value);
  }
  node.append(...children.flat(Infinity).filter(child => child != null));
  return node;
}

/** Set an attribute, or take it away (null, undefined, false); nothing happens if it is so already. */
export function setAttribute(node, name, value) {
  if (value == null || value === false) {
    if (node.hasAttribute(name)) node.removeAttribute(name);
    return;
  }
  const text = value === true ? "" : String(value);
  if (node.getAttribute(name) !== text) node.setAttribute(name, text);
}

/** Set what an element says; nothing happens if it says so already, so that nobody's selection is lost. */
export function say(node, text) {
  if (node.textContent !== text) node.textContent = text;
}

/** Show an element, or do not. */
export function show(node, isShown) {
  if (node.hidden === isShown) node.hidden = !isShown;
}

/** Have a parent hold exactly these children in this order; those that are there already stay. */
function arrange(parent, children) {
  let next = parent.firstChild;
  for (const child of children) {
    if (child === next) next = next.nextSibling;
    else parent.insertBefore(child, next);
  }
  while (next) {
    const gone = next;
    next = next.nextSibling;
    gone.remove();
  }
}

/**
 * Keep one part of the page for each name: made once by make(name), then told what is new by part.update(value).
 * Returns a function of a list of [name, value] that brings the parent up to date.
 */
export function kept(parent, make) {
  let parts = new Map();
  return pairs => {
    const now = new Map(pairs.map(([name]) => [name, parts.get(name) ?? make(name)]));
    arrange(parent, [...now.values()].map(part => part.node));
    for (const [name, value] of pairs) now.get(name).update(value);
    parts = now;
  };
}
