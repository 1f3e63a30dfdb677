// What the page knows: all markets at a glance, and of the one that is looked at its book, trades and candles.
import { signal } from "@preact/signals";
import { again, subscribe } from "./feed.js";

export const instruments = signal([]); // as /api/v1/instruments tells them
export const tickers = signal(new Map()); // by name
export const chosen = signal("");
export const interval = signal("1m");
export const book = signal({ bids: [], asks: [], seq: 0 }); // [price, quantity, orders], the best first
export const trades = signal([]); // the latest first
export const status = signal(null);
export const candles = signal({ name: "", list: [] }); // `list` whole when `name` changes
export const problem = signal("");

const TRADES_SHOWN = 60;
const LOOK_MS = 15_000;
let leave = [];
let leaveCandles = () => {};

async function get(path) {
  const answer = await fetch(path);
  if (!answer.ok) throw new Error((await answer.json()).detail);
  return answer.json();
}

// Asks what markets there are, and hears those that are new.
async function look() {
  const known = new Set(instruments.value.map(({ name }) => name));
  instruments.value = await get("/api/v1/instruments");
  for (const { name } of instruments.value) {
    if (known.has(name)) continue;
    subscribe("ticker", name, 250, ({ ticker }) => {
      tickers.value = new Map(tickers.value).set(name, ticker);
    });
  }
}

export async function begin() {
  for (;;) {
    try {
      await look();
      problem.value = "";
      if (instruments.value.length) break;
      problem.value = "The venue has no instruments yet.";
    } catch (error) {
      problem.value = `The venue does not answer: ${error.message}`;
    }
    await new Promise((done) => setTimeout(done, 1000));
  }
  setInterval(() => look().catch(() => {}), LOOK_MS); // the connection says when there is nobody to ask
  const wanted = instruments.value.find(({ name }) => `#${encodeURIComponent(name)}` === location.hash);
  choose(wanted ? wanted.name : busiest());
}

function busiest() {
  return instruments.value[0].name;
}

export function choose(name) {
  if (name === chosen.value) return;
  for (const one of leave) one();
  chosen.value = name;
  history.replaceState(null, "", `#${encodeURIComponent(name)}`);
  book.value = { bids: [], asks: [], seq: 0 };
  trades.value = [];
  status.value = null;
  leave = [
    subscribe("book", name, 50, followBook(name)),
    subscribe("trades", name, 250, hearTrades),
    subscribe("status", name, 250, (message) => (status.value = message.status.at(-1))),
  ];
  chooseInterval(interval.value);
}

export function chooseInterval(name) {
  interval.value = name;
  leaveCandles();
  const instrument = chosen.value;
  candles.value = { name: "", list: [] };
  let since = null; // what is told while the older ones are asked for
  leaveCandles = subscribe(`candles:${name}`, instrument, 250, (message) => {
    if (message.type === "update") {
      since &&= merged(since, message.candles);
      candles.value = { ...candles.value, list: merged(candles.value.list, message.candles) };
      return;
    }
    since = [];
    get(`/api/v1/instruments/${encodeURIComponent(instrument)}/candles?interval=${name}&limit=1500`)
      .then((list) => {
        if (chosen.value === instrument && interval.value === name) {
          const more = merged(message.candles, since ?? []);
          candles.value = { name: `${instrument} ${name} ${message.seq}`, list: merged(list, more) };
          since = null;
        }
      })
      .catch((error) => (problem.value = error.message));
  });
}

// Of a candle that is told twice the one with more trades is the later.
function merged(list, more) {
  const known = new Map(list.map((candle) => [candle[0], candle]));
  for (const candle of more) if (!(known.get(candle[0])?.[6] > candle[6])) known.set(candle[0], candle);
  return [...known.values()].sort((one, other) => one[0] - other[0]);
}

// A book is kept by price as text is told; both sides are shown best first.
function followBook(name) {
  const sides = { bids: new Map(), asks: new Map() };
  let toSeq = -1;
  return (message) => {
    if (message.type === "snapshot") {
      sides.bids.clear();
      sides.asks.clear();
    } else if (message.from_seq !== toSeq) {
      again("book", name);
      return;
    }
    toSeq = message.to_seq;
    for (const side of ["bids", "asks"]) {
      for (const [price, quantity, orders] of message[side]) {
        if (quantity === "0") sides[side].delete(price);
        else sides[side].set(price, [price, quantity, orders]);
      }
    }
    const sorted = (levels, sign) => [...levels.values()].sort((one, other) => sign * (one[0] - other[0]));
    book.value = { bids: sorted(sides.bids, -1), asks: sorted(sides.asks, 1), seq: toSeq };
  };
}

function hearTrades(message) {
  if (message.type === "snapshot") {
    trades.value = message.trades.toReversed().slice(0, TRADES_SHOWN);
    return;
  }
  let list = trades.value;
  for (const trade of message.trades) {
    const others = list.filter(({ trade_id }) => trade_id !== trade.trade_id);
    if (trade.event === "TRADE") list = [trade, ...list];
    else if (trade.event === "TRADE_BUSTED") list = others;
    else list = list.map((known) => (known.trade_id === trade.trade_id ? trade : known));
  }
  trades.value = list.slice(0, TRADES_SHOWN);
}
