// node eventsource.mjs URL: follows a topic with npm's eventsource and prints what it hears, one JSON line each.
import { EventSource } from "eventsource";

const print = line => process.stdout.write(JSON.stringify(line) + "\n");
const source = new EventSource(process.argv[2]);

source.onopen = () => print({ event: "(open)" });
source.onerror = error => print({ event: "(error)", code: error.code ?? null, state: source.readyState });
source.onmessage = () => print({ event: "(message)" }); // never: every event has a name
for (const kind of ["snapshot", "patch", "heartbeat", "status", "problem"]) {
  source.addEventListener(kind, ({ data, lastEventId }) => print({ event: kind, id: lastEventId, data: JSON.parse(data) }));
}
