// A document as a client holds it: what each event makes of the one before. Documents are never changed in place.

/** Return the document after an event, and whether there is one. */
export function advance(held, event, data, key) {
  switch (event) {
    case "snapshot": return data;
    case "patch": return data.reduce(step, held);
    case "merge": return merge(held, data);
    case "items": return items(held ?? [], data, key);
    case "gone": return undefined;
    default: return held;
  }
}

/** Read JSON and keep every number as it is written, where the browser can; others hold nothing beyond 2^53. */
export function parse(text) {
  return JSON.parse(text, JSON.rawJSON && ((name, value, {source}) =>
    (typeof value === "number" && String(value) !== source ? JSON.rawJSON(source) : value)));
}

// RFC 7396.

function merge(held, patch) {
  if (!isObject(patch)) return patch;
  const merged = isObject(held) ? {...held} : {};
  for (const [name, value] of Object.entries(patch)) {
    if (value === null) delete merged[name];
    else set(merged, name, merge(Object.hasOwn(merged, name) ? merged[name] : undefined, value));
  }
  return merged;
}

function isObject(value) {
  return typeof value === "object" && value !== null && !Array.isArray(value) && !JSON.isRawJSON?.(value);
}

/** Give a copy a member, whatever it is called: "__proto__" is a name like any other. */
function set(copy, name, value) {
  Object.defineProperty(copy, name, {value, writable: true, enumerable: true, configurable: true});
}

// RFC 6902.

function step(held, {op, path, from, value}) {
  const to = tokens(path);
  switch (op) {
    case "add": return put(held, to, value, true);
    case "replace": return put(held, to, value, false);
    case "remove": return take(held, to);
    case "move": return put(take(held, tokens(from)), to, find(held, tokens(from)), true);
    case "copy": return put(held, to, find(held, tokens(from)), true);
    default: throw new Error(`no such operation: ${op}`);
  }
}

function tokens(pointer) {
  return pointer.split("/").slice(1).map(token => token.replaceAll("~1", "/").replaceAll("~0", "~"));
}

function find(held, path) {
  return path.reduce((inner, token) => inner[token], held);
}

function put(held, path, value, isNew) {
  if (!path.length) return value;
  const [token, ...rest] = path;
  const copy = Array.isArray(held) ? [...held] : {...held};
  if (rest.length) set(copy, token, put(held[token], rest, value, isNew));
  else if (Array.isArray(copy) && isNew) copy.splice(token === "-" ? copy.length : Number(token), 0, value);
  else set(copy, token, value);
  return copy;
}

function take(held, path) {
  const [token, ...rest] = path;
  const copy = Array.isArray(held) ? [...held] : {...held};
  if (rest.length) set(copy, token, take(held[token], rest));
  else if (Array.isArray(copy)) copy.splice(Number(token), 1);
  else delete copy[token];
  return copy;
}

// Items: a set, told by a key that every item has; what is new comes last.

function items(held, {created, updated, deleted}, key) {
  const id = item => JSON.stringify(Array.isArray(key) ? key.map(name => item[name]) : item[key]);
  const gone = new Set(deleted.map(one => JSON.stringify(one)));
  const changed = new Map(updated.map(item => [id(item), item]));
  return [...held.filter(item => !gone.has(id(item))).map(item => changed.get(id(item)) ?? item), ...created];
}
