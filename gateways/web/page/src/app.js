// The page: all markets at a glance; of the chosen one its candles, depth, ladder and trades.
import { render } from "preact";
import { html } from "htm/preact";
import { computed } from "@preact/signals";
import "./app.css";
import { CandleChart, DepthChart } from "./charts.js";
import { connect, connection, lostAt } from "./feed.js";
import {
  begin, book, choose, chooseInterval, chosen, instruments, interval, problem, status, tickers, trades,
} from "./market.js";

const LEVELS = 14;
const INTERVALS = ["1s", "1m", "5m", "15m", "1h", "1d"];
const WORDS = {
  OPEN: "open", PRE_OPEN: "not yet open", CANCEL_ONLY: "cancels only", HALTED: "halted", CLOSED: "closed",
  CALL: "auction call", UNCROSSING: "auction",
};

const percent = (last, first) => (last && first && +first ? `${((last / first - 1) * 100).toFixed(2)} %` : "–");
const digits = (price) => (price.split(".")[1] ?? "").length;
const spread = ({ bid, ask }) =>
  bid && ask ? `${(ask - bid).toFixed(digits(ask))} (${(((ask - bid) / ((+ask + +bid) / 2)) * 100).toFixed(3)} %)` : "–";
const tone = (last, first) => (+last > +first ? "up" : +last < +first ? "down" : "");
const clock = (time_ns) => new Date(time_ns / 1e6).toLocaleTimeString([], { hour12: false });

function Connection() {
  const text = {
    live: "live", connecting: "connecting …",
    stale: `the venue does not answer since ${new Date(lostAt.value).toLocaleTimeString([], { hour12: false })}: what you see may be old`,
    lost: `connection lost at ${new Date(lostAt.value).toLocaleTimeString([], { hour12: false })}, trying again: what you see may be old`,
  }[connection.value];
  return html`<p class=${`connection ${connection.value}`} role="status">${text}</p>`;
}

function Markets() {
  const rows = instruments.value.map(({ name }) => {
    const ticker = tickers.value.get(name);
    return html`<tr key=${name} class=${name === chosen.value ? "chosen" : ""} onClick=${() => choose(name)}>
      <th scope="row"><button type="button" aria-pressed=${name === chosen.value}>${name}</button></th>
      <td>${ticker?.last || "–"}</td>
      <td class=${ticker ? tone(ticker.last, ticker.open_24h) : ""}>${ticker ? percent(ticker.last, ticker.open_24h) : "–"}</td>
      <td>${ticker ? spread(ticker) : "–"}</td>
      <td>${ticker?.volume_24h ?? "–"}</td>
      <td class=${ticker && ticker.state !== "OPEN" ? "warn" : ""}>${ticker ? WORDS[ticker.state] : "–"}</td>
    </tr>`;
  });
  return html`<section class="markets" aria-label="Markets"><h2>Markets</h2><div class="scroll"><table>
    <thead><tr><th scope="col">Market</th><th scope="col">Last</th><th scope="col">24 h</th><th scope="col">Spread</th>
      <th scope="col">Volume</th><th scope="col">State</th></tr></thead><tbody>${rows}</tbody></table></div></section>`;
}

const largest = computed(() => {
  const shown = [...book.value.bids.slice(0, LEVELS), ...book.value.asks.slice(0, LEVELS)];
  return Math.max(...shown.map(([, quantity]) => +quantity), 0);
});

function Levels({ side, levels }) {
  return levels.map(
    ([price, quantity, orders]) => html`<tr key=${price} class=${side} style=${`--share:${+quantity / largest.value}`}>
      <td class="price">${price}</td><td>${quantity}</td><td>${orders}</td></tr>`,
  );
}

function Ladder() {
  const { bids, asks, seq } = book.value;
  const asksShown = asks.slice(0, LEVELS).toReversed();
  const ticker = tickers.value.get(chosen.value);
  return html`<section class="ladder" aria-label="Order book" data-seq=${seq}><h2>Book</h2><table>
    <thead><tr><th scope="col">Price</th><th scope="col">Quantity</th><th scope="col">Orders</th></tr></thead>
    <tbody><${Levels} side="ask" levels=${asksShown} />
      <tr class="middle"><td colspan="3">${ticker?.last || "–"} <span>${ticker ? `spread ${spread(ticker)}` : ""}</span></td></tr>
      <${Levels} side="bid" levels=${bids.slice(0, LEVELS)} /></tbody></table></section>`;
}

function Tape() {
  const rows = trades.value.map(
    (trade) => html`<tr key=${trade.trade_id} class=${trade.aggressor === "BUY" ? "bid" : "ask"}>
      <td>${clock(trade.time_ns)}</td><td class="price">${trade.price}</td><td>${trade.quantity}</td>
      <td>${trade.aggressor.toLowerCase()}</td></tr>`,
  );
  return html`<section class="tape" aria-label="Trades"><h2>Trades</h2><div class="scroll"><table>
    <thead><tr><th scope="col">Time</th><th scope="col">Price</th><th scope="col">Quantity</th><th scope="col">Taker</th></tr></thead>
    <tbody>${rows}</tbody></table></div></section>`;
}

function Chosen() {
  const state = status.value;
  const halted = state && state.state !== "OPEN";
  const because = state?.state_reason ? ` (${state.state_reason.toLowerCase().replaceAll("_", " ")})` : "";
  return html`<section class="chart" aria-label="Chart">
    <header><h2>${chosen.value}</h2>
      ${halted && html`<p class="warn" role="status">${WORDS[state.state]}${because}</p>`}
      <nav aria-label="Length of a candle">${INTERVALS.map(
        (name) => html`<button type="button" key=${name} aria-pressed=${name === interval.value}
          onClick=${() => chooseInterval(name)}>${name}</button>`,
      )}</nav></header>
    <${CandleChart} /><h3>Depth</h3><${DepthChart} /></section>`;
}

function Page() {
  return html`<header class="top"><h1>KK99</h1><${Connection} /><a href="/api">API</a></header>
    ${problem.value && html`<p class="problem" role="alert">${problem.value}</p>`}
    <main class=${["lost", "stale"].includes(connection.value) ? "old" : ""}><${Markets} /><${Chosen} /><${Ladder} /><${Tape} /></main>`;
}

render(html`<${Page} />`, document.getElementById("page"));
connect();
begin();
