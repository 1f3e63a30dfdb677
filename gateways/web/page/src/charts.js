// The two charts: candles with volume, and the depth of the book. Both follow the page's light or dark colours.
import { html } from "htm/preact";
import { effect } from "@preact/signals";
import { useEffect, useRef } from "preact/hooks";
import { CandlestickSeries, HistogramSeries, createChart } from "lightweight-charts";
import uPlot from "uplot";
import "uplot/dist/uPlot.min.css";
import { book, candles } from "./market.js";

const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();
const DEPTH_LEVELS = 200;
const DEPTH_HEIGHT = 180;

function places(price) {
  const at = price.indexOf(".");
  return at < 0 ? 0 : price.length - at - 1;
}

export function CandleChart() {
  const element = useRef(null);
  useEffect(() => {
    const chart = createChart(element.current, { autoSize: true, timeScale: { timeVisible: true, secondsVisible: true } });
    const prices = chart.addSeries(CandlestickSeries, {});
    const volumes = chart.addSeries(HistogramSeries, { priceFormat: { type: "volume" }, priceScaleId: "" });
    volumes.priceScale().applyOptions({ scaleMargins: { top: 0.82, bottom: 0 } });
    const paint = () => {
      chart.applyOptions({
        layout: { background: { color: colour("panel") }, textColor: colour("quiet"), attributionLogo: true },
        grid: { vertLines: { color: colour("line") }, horzLines: { color: colour("line") } },
      });
      const [up, down] = [colour("up"), colour("down")];
      prices.applyOptions({ upColor: up, downColor: down, wickUpColor: up, wickDownColor: down, borderVisible: false });
      volumes.applyOptions({ color: colour("volume") });
    };
    paint();
    const scheme = matchMedia("(prefers-color-scheme: dark)");
    scheme.addEventListener("change", paint);
    let shown = "";
    let shownTo = 0;
    const stop = effect(() => {
      const { name, list } = candles.value;
      const candle = ([time, open, high, low, close]) => ({ time, open: +open, high: +high, low: +low, close: +close });
      const volume = (one) => ({ time: one[0], value: +one[5] });
      if (name !== shown || !list.length) {
        if (list.length) {
          const digits = places(list.at(-1)[4]);
          prices.applyOptions({ priceFormat: { type: "price", precision: digits, minMove: 10 ** -digits } });
        }
        prices.setData(list.map(candle));
        volumes.setData(list.map(volume));
        chart.timeScale().scrollToRealTime();
        shown = name;
      } else {
        for (const one of list.filter(([time]) => time >= shownTo)) {
          prices.update(candle(one)); // it takes none older than its last
          volumes.update(volume(one));
        }
      }
      shownTo = list.at(-1)?.[0] ?? 0;
    });
    return () => {
      stop();
      scheme.removeEventListener("change", paint);
      chart.remove();
    };
  }, []);
  return html`<div class="candles" ref=${element} role="img" aria-label="Candles of the chosen market"></div>`;
}

// Cumulative quantity at each price, bids from the best down and asks from the best up.
function depthOf({ bids, asks }) {
  const points = [];
  for (const [levels, side] of [[bids, 1], [asks, 2]]) {
    let sum = 0;
    for (const [price, quantity] of levels.slice(0, DEPTH_LEVELS)) {
      sum += +quantity;
      points.push(side === 1 ? [+price, sum, null] : [+price, null, sum]);
    }
  }
  points.sort((one, other) => one[0] - other[0]);
  return [0, 1, 2].map((column) => points.map((point) => point[column]));
}

export function DepthChart() {
  const element = useRef(null);
  useEffect(() => {
    let plot = null;
    let wanted = null;
    let frame = 0;
    const make = () => {
      plot?.destroy();
      const stepped = uPlot.paths.stepped({ align: 1 });
      const side = (label, name) => ({
        label, stroke: colour(name), fill: `${colour(name)}33`, width: 1.5, paths: stepped, points: { show: false },
      });
      const axis = { stroke: colour("quiet"), grid: { stroke: colour("line"), width: 1 }, ticks: { show: false } };
      plot = new uPlot(
        {
          width: element.current.clientWidth, height: DEPTH_HEIGHT, legend: { show: false }, cursor: { y: false },
          scales: { x: { time: false } }, axes: [axis, { ...axis, size: 60 }],
          series: [{ label: "Price" }, side("Bids", "up"), side("Asks", "down")],
        },
        depthOf(book.value),
        element.current,
      );
    };
    make();
    const scheme = matchMedia("(prefers-color-scheme: dark)");
    scheme.addEventListener("change", make);
    const sizes = new ResizeObserver(() => plot.setSize({ width: element.current.clientWidth, height: DEPTH_HEIGHT }));
    sizes.observe(element.current);
    const stop = effect(() => {
      wanted = book.value;
      frame ||= requestAnimationFrame(() => {
        frame = 0;
        plot.setData(depthOf(wanted));
      });
    });
    return () => {
      stop();
      cancelAnimationFrame(frame);
      sizes.disconnect();
      scheme.removeEventListener("change", make);
      plot.destroy();
    };
  }, []);
  return html`<div class="depth" ref=${element} role="img" aria-label="Depth of the chosen market's book"></div>`;
}
