// node compressed.mjs URL: follows a topic with Node's fetch and with npm's ws, both of which offer compression, and
// prints what it hears, one JSON line each; the first line of each says what was agreed.
import WebSocket from "ws";

const url = process.argv[2];
const print = line => process.stdout.write(JSON.stringify(line) + "\n");

function follow() {
  const socket = new WebSocket(url.replace("http", "ws"));
  socket.on("open", () => {
    print({ client: "ws", agreed: socket.extensions });
    socket.send(JSON.stringify({ op: "ping", ref: "x".repeat(2000) })); // which is worth to be compressed
  });
  socket.on("message", data => {
    const { event, id, data: document } = JSON.parse(data);
    print({ client: "ws", event, id, data: document });
  });
  socket.on("close", code => print({ client: "ws", closed: code }));
}

async function read() {
  const answer = await fetch(url, { headers: { Accept: "text/event-stream" } });
  print({ client: "fetch", agreed: answer.headers.get("Content-Encoding") });
  const decoder = new TextDecoder();
  let text = "";
  for await (const chunk of answer.body) {
    text += decoder.decode(chunk, { stream: true });
    const blocks = text.split("\n\n");
    text = blocks.pop();
    for (const block of blocks) {
      const fields = Object.fromEntries(block.split("\n").map(line => [line.split(":")[0], line.slice(line.indexOf(":") + 2)]));
      if (fields.data) print({ client: "fetch", event: fields.event, id: fields.id, data: JSON.parse(fields.data) });
    }
  }
  print({ client: "fetch", closed: true, rest: text });
}

follow();
await read();
