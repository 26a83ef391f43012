// Server-sent events (WHATWG HTML, section 9.2) out of a body that arrives in pieces: EventSource sends no header
// fields, so it can show no token.

/** Yield {event, id, data, retry, bytes} for each block of a stream. */
export async function* blocks(body) {
  const reader = body.getReader(), decoder = new TextDecoder();
  let text = "";
  try {
    for (;;) {
      const {done, value} = await reader.read();
      if (done) return;
      text += decoder.decode(value, {stream: true});
      let end;
      while ((end = text.indexOf("\n\n")) >= 0) {
        yield block(text.slice(0, end));
        text = text.slice(end + 2);
      }
    }
  } finally {
    reader.cancel().catch(() => {});
  }
}

function block(text) {
  const found = {event: "message", id: null, data: "", retry: null, bytes: text.length + 2};
  for (const line of text.split("\n")) {
    const colon = line.indexOf(":");
    const name = colon < 0 ? line : line.slice(0, colon);
    const value = colon < 0 ? "" : line.slice(colon + 1).replace(/^ /, "");
    if (name === "data") found.data += found.data ? `\n${value}` : value;
    else if (name === "event" || name === "id") found[name] = value;
    else if (name === "retry") found.retry = Number(value);
  }
  return found;
}
