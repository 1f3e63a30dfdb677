// The connection to the venue: one WebSocket, opened again when it is lost, and the subscriptions that it is to have.
// Whoever subscribes hears a snapshot first, also after every new connection, so nothing shown is ever a guess.
import { signal } from "@preact/signals";

export const connection = signal("connecting"); // or "live", "stale": the venue is gone, "lost": the gateway
export const lostAt = signal(0);

const AGAIN_MS = [250, 500, 1000, 2000, 5000];
const SILENT_MS = 10_000; // without an answer to a ping the connection is taken for lost

const heard = new Map(); // key -> {channel, instrument, interval_ms, hear}
let socket = null;
let tries = 0;
let lastHeard = 0;

const keyOf = (one) => `${one.channel}|${one.instrument}`;
const plain = ({ channel, instrument, interval_ms }) => ({ channel, instrument, interval_ms });

function send(content) {
  if (socket?.readyState === WebSocket.OPEN) socket.send(JSON.stringify(content));
}

export function subscribe(channel, instrument, interval_ms, hear) {
  const one = { channel, instrument, interval_ms, hear };
  heard.set(keyOf(one), one);
  send({ op: "subscribe", channels: [plain(one)] });
  return () => {
    if (heard.get(keyOf(one)) === one) {
      heard.delete(keyOf(one));
      send({ op: "unsubscribe", channels: [plain(one)] });
    }
  };
}

// Asks for a snapshot anew, as what came does not continue what was there.
export function again(channel, instrument) {
  const one = heard.get(`${channel}|${instrument}`);
  if (!one) return;
  send({ op: "unsubscribe", channels: [plain(one)] });
  send({ op: "subscribe", channels: [plain(one)] });
}

export function connect() {
  const scheme = location.protocol === "https:" ? "wss:" : "ws:";
  socket = new WebSocket(`${scheme}//${location.host}/ws`);
  socket.onopen = () => {
    tries = 0;
    lastHeard = performance.now();
    const all = [...heard.values()].map(plain);
    for (let at = 0; at < all.length; at += 50) send({ op: "subscribe", channels: all.slice(at, at + 50) });
  };
  socket.onmessage = ({ data }) => {
    lastHeard = performance.now();
    const message = JSON.parse(data);
    if (message.type === "venue") {
      if (!message.is_live && connection.value !== "stale") lostAt.value = Date.now();
      connection.value = message.is_live ? "live" : "stale";
    } else if (message.type === "slowed") {
      for (const told of message.channels) {
        const one = heard.get(keyOf(told));
        if (one) one.interval_ms = told.interval_ms;
      }
    } else if (message.channel) {
      heard.get(keyOf(message))?.hear(message);
    }
  };
  socket.onclose = () => {
    if (connection.value !== "lost") lostAt.value = Date.now();
    connection.value = "lost";
    setTimeout(connect, AGAIN_MS[Math.min(tries++, AGAIN_MS.length - 1)] * (0.75 + Math.random() / 2));
  };
}

setInterval(() => {
  if (socket?.readyState !== WebSocket.OPEN) return;
  if (performance.now() - lastHeard > SILENT_MS) socket.close();
  else send({ op: "ping" });
}, SILENT_MS / 3);
