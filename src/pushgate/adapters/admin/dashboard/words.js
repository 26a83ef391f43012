// Numbers, sizes and times as people read them.

const NUMBER = new Intl.NumberFormat("en", {maximumFractionDigits: 0});
const SMALL = new Intl.NumberFormat("en", {maximumFractionDigits: 1});
const BYTES = ["B", "kB", "MB", "GB", "TB"];
const LARGE = ["", "k", "M", "G"];

export const TRANSPORTS = {
  sse: "SSE", websocket: "WebSocket", long_poll: "long poll", short_poll: "short poll",
};

/** A count: 812, 12,345, 1.2 M. */
export function count(value) {
  if (value < 100_000) return value < 10 && value % 1 ? SMALL.format(value) : NUMBER.format(value);
  return scaled(value, 1000, LARGE);
}

export function bytes(value) {
  return scaled(value, 1000, BYTES);
}

function scaled(value, step, units) {
  let unit = 0;
  while (value >= step && unit < units.length - 1) { value /= step; unit += 1; }
  const digits = value < 10 && unit ? 1 : 0;
  return `${value.toFixed(digits)} ${units[unit]}`.trim();
}

/** Milliseconds as they are told: 0.8 ms, 34 ms, 1.2 s. */
export function delay(milliseconds) {
  if (milliseconds >= 1000) return `${(milliseconds / 1000).toFixed(1)} s`;
  return `${milliseconds < 10 ? milliseconds.toFixed(1) : Math.round(milliseconds)} ms`;
}

const UNITS = [["d", 86400], ["h", 3600], ["min", 60], ["s", 1]];

/** A duration in seconds, in its two largest units: 3 s, 2 min 10 s, 4 d 3 h. */
export function duration(seconds) {
  let rest = Math.max(0, Math.round(seconds));
  const parts = [];
  for (const [unit, size] of UNITS) {
    const whole = Math.floor(rest / size);
    if (whole) parts.push(`${whole} ${unit}`);
    else if (parts.length) break;
    rest %= size;
    if (parts.length === 2) break;
  }
  return parts.join(" ") || "0 s";
}

/** How long ago something was, by the gateway's clock. */
export function since(timestamp, now) {
  return duration((now - Date.parse(timestamp)) / 1000);
}

/** The time of day of a moment; with the date if it was not today. */
export function clockTime(timestamp) {
  const at = new Date(timestamp);
  const time = at.toLocaleTimeString([], {hour: "2-digit", minute: "2-digit", second: "2-digit", hour12: false});
  return at.toDateString() === new Date().toDateString() ? time : `${at.toLocaleDateString()} ${time}`;
}

export function plural(number, noun, many = `${noun}s`) {
  return `${count(number)} ${number === 1 ? noun : many}`;
}

// Why a poll failed, as pushgate_poll_failures_total counts it.
const REASONS = {
  timeout: "no answer in time", connect: "cannot be reached", dns: "its name is not known", tls: "TLS fails",
  http_4xx: "answers 4xx", http_5xx: "answers 5xx", rate_limited: "says: too often", upstream_auth: "wants other credentials",
  protocol: "no usable HTTP answer", truncated: "answer cut off", too_large: "answer too large", decode: "answer cannot be read",
  paused: "paused by an operator", select: "select fails", guard: "a guard refuses it", fail_if: "fail_if came true", budget: "budget used up",
};

export function reason(code) {
  return REASONS[code] ? `${REASONS[code]} (${code})` : code;
}
