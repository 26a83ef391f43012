// node ws.mjs URL: follows a topic with npm's ws, resumes by hand, and prints what it hears, one JSON line each.
import WebSocket from "ws";

const print = line => process.stdout.write(JSON.stringify(line) + "\n");
let last = null;

function open() {
  const query = last === null ? "" : `?cursor=${encodeURIComponent(last)}`;
  const socket = new WebSocket(process.argv[2] + query, "pushgate.v1");
  socket.on("open", () => {
    print({ event: "(open)", protocol: socket.protocol });
    socket.ping("are you there");
    socket.send(JSON.stringify({ op: "ping", ref: "hello" }));
  });
  socket.on("pong", data => print({ event: "(pong)", data: data.toString() }));
  socket.on("message", (data, isBinary) => {
    const message = JSON.parse(data);
    last = message.id ?? last;
    print({ ...message, isBinary });
  });
  socket.on("error", () => {}); // "close" follows
  socket.on("close", (code, reason) => {
    print({ event: "(close)", code, reason: reason.toString() });
    setTimeout(open, 100);
  });
}
open();
