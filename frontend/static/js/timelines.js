// The timelines of the performance page: readings come over a socket, charts are drawn from them.
import { CHARTS, TimelineChart } from "./timeline-chart.js";

const WINDOW_S = 600;
const TABLE_MS = 10_000;
const STALE_S = 15;
const FIRST_PAUSE_MS = 1000;
const LONGEST_PAUSE_MS = 15_000;
const STILL_MS = 10_000; // how often the picture moves for those who want little motion
const TALL_PX = 170;
const LOW_PX = 96;
const AXIS_PX = 28;

const panel = document.getElementById("timelines");
const live = document.getElementById("timelines-live");
const state = document.getElementById("timelines-state");
const stillness = matchMedia("(prefers-reduced-motion: reduce)");

// Colours are resolved by the style sheet: light and dark need no second list here.
const colours = {
  known: {},
  of(look) {
    this.known[look] ??= getComputedStyle(panel.querySelector(`.timeline-probes .timeline-${look}`)).color;
    return this.known[look];
  },
  forget() {
    this.known = {};
  },
};

class DeviceTimelines {
  constructor(device, span) {
    this.rows = [];
    this.marks = [];
    this.element = document.createElement("div");
    this.element.className = "timeline-device";
    const title = document.createElement("h3");
    title.textContent = device.kind === "gpu" ? device.name : `This machine, ${device.name}: no GPU is read`;
    this.element.append(title);
    live.append(this.element);
    const specs = CHARTS[device.kind];
    this.charts = specs.map((spec, at) => {
      const isLast = at === specs.length - 1;
      const height = (spec.tall ? TALL_PX : LOW_PX) + (isLast ? AXIS_PX : 0);
      const chart = new TimelineChart({ spec, device, colours, isLast, span, height });
      this.element.append(chart.element);
      chart.draw();
      return chart;
    });
  }

  add({ columns, rows, marks }, now) {
    const last = this.rows.at(-1)?.at_s ?? -Infinity;
    const lastMark = this.marks.at(-1)?.[0] ?? -Infinity;
    const read = rows.map((row) => Object.fromEntries(columns.map((name, at) => [name, row[at]])));
    const from = now - WINDOW_S;
    this.rows = [...this.rows, ...read.filter((row) => row.at_s > last)].filter((row) => row.at_s >= from);
    this.marks = [...this.marks, ...marks.filter(([at]) => at > lastMark)].filter(([at]) => at >= from);
  }

  show() {
    for (const chart of this.charts) chart.show(this.rows, this.marks);
  }

  fillTables() {
    for (const chart of this.charts) chart.fillTable();
  }
}

const devices = new Map();
let lastId = "";
let ahead = 0; // seconds by which the server's clock is ahead of ours
let isConnected = false;
let pause = FIRST_PAUSE_MS;
let drawn = 0;
let tabled = 0;

function now() {
  return Date.now() / 1000 + ahead;
}

function take(message) {
  lastId = message.last_id;
  ahead = message.now_s - Date.now() / 1000;
  if (message.type === "history") {
    live.replaceChildren();
    devices.clear();
  }
  for (const device of message.devices) {
    if (!devices.has(device.key)) {
      devices.set(device.key, new DeviceTimelines(device, () => [now() - WINDOW_S, now()]));
      drawn = tabled = 0;
    }
    devices.get(device.key).add(device, now());
  }
  show();
}

function show() {
  const at = performance.now();
  tell();
  if (document.hidden || (stillness.matches && drawn && at - drawn < STILL_MS)) return;
  drawn = at;
  for (const device of devices.values()) device.show();
  if (tabled && at - tabled < TABLE_MS) return;
  tabled = at;
  for (const device of devices.values()) device.fillTables();
}

// Said once for each change, not with every reading.
function tell() {
  const newest = Math.max(...[...devices.values()].map((device) => device.rows.at(-1)?.at_s ?? -Infinity));
  const clock = Number.isFinite(newest) ? new Date(1000 * newest).toISOString().slice(11, 19) : "";
  let name = "live";
  let text = "Live, times in UTC";
  if (!isConnected) [name, text] = ["lost", "The connection is lost; trying again"];
  else if (!clock) [name, text] = ["empty", "No reading yet: a worker sends the first soon after its start"];
  else if (now() - newest > STALE_S) [name, text] = ["stale", `No reading since ${clock} UTC: no worker reports`];
  if (state.textContent !== text) state.textContent = text;
  panel.dataset.state = name;
}

function connect() {
  const address = new URL(panel.dataset.socket, location.href);
  address.protocol = address.protocol.replace("http", "ws");
  if (lastId) address.searchParams.set("last_id", lastId);
  const socket = new WebSocket(address);
  socket.addEventListener("open", () => {
    isConnected = true;
    pause = FIRST_PAUSE_MS;
  });
  socket.addEventListener("message", (event) => take(JSON.parse(event.data)));
  socket.addEventListener("close", () => {
    isConnected = false;
    tell();
    setTimeout(connect, pause);
    pause = Math.min(2 * pause, LONGEST_PAUSE_MS);
  });
}

function changeColours() {
  colours.forget();
  for (const device of devices.values()) for (const chart of device.charts) chart.redraw();
}

if (window.uPlot) {
  new MutationObserver(changeColours).observe(document.documentElement, { attributeFilter: ["data-theme"] });
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", changeColours);
  setInterval(show, 1000);
  connect();
} else {
  document.getElementById("timelines-still").classList.remove("no-js-only");
}
