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

// RFC 7396.

function merge(held, patch) {
  if (!isObject(patch)) return patch;
  const merged = isObject(held) ? {...held} : {};
  for (const [name, value] of Object.entries(patch)) {
    if (value === null) delete merged[name];
    else merged[name] = merge(merged[name], value);
  }
  return merged;
}

function isObject(value) {
  return typeof value === "object" && value !== null && !Array.isArray(value);
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
  if (rest.length) copy[token] = put(held[token], rest, value, isNew);
  else if (Array.isArray(copy) && isNew) copy.splice(token === "-" ? copy.length : Number(token), 0, value);
  else copy[token] = value;
  return copy;
}

function take(held, path) {
  const [token, ...rest] = path;
  const copy = Array.isArray(held) ? [...held] : {...held};
  if (rest.length) copy[token] = take(held[token], rest);
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
