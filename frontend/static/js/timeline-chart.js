// One chart over time: lines on a canvas by uPlot, and the same figures as a table beside it.
const GAP_S = 15; // an idle worker reads every five seconds; beyond this the line is broken
const UNKNOWN = "unknown";
const MARK_GAP_PX = 6;
const MB_STEPS = Array.from({ length: 20 }, (_, power) => 2 ** power); // round in MB and in GB

export const CHARTS = {
  gpu: [
    { title: "GPU memory", unit: "MB", tall: true, lines: [
      { name: "In use", value: "vram_used_mb", look: "others", fill: true },
      { name: "This server", value: "vram_ours_mb", look: "ours", fill: true },
      { name: "Other programs", value: "vram_others_mb" },
      { name: "Free", value: (row) => rest(row.vram_total_mb, row.vram_used_mb) },
      { name: "On the card", value: "vram_total_mb", look: "limit" },
    ] },
    { title: "Utilisation", unit: "%", top: 100, lines: [{ name: "GPU", value: "util_pct", look: "ours", fill: true }] },
    { title: "Power", unit: "W", lines: [
      { name: "Drawn", value: "power_w", look: "ours", fill: true },
      { name: "Limit", value: "power_limit_w", look: "limit" },
    ] },
    { title: "Temperature", unit: "°C", lines: [{ name: "GPU", value: "temp_c", look: "ours", fill: true }] },
    { title: "Clock", unit: "MHz", throttle: true, lines: [
      { name: "SM clock", value: "sm_clock_mhz", look: "ours", fill: true },
      { name: "Highest", value: "sm_clock_max_mhz", look: "limit" },
    ] },
  ],
  host: [
    { title: "Host memory", unit: "MB", tall: true, lines: [
      { name: "In use", value: "ram_used_mb", look: "others", fill: true },
      { name: "This worker", value: "worker_rss_mb", look: "ours", fill: true },
      { name: "Free", value: (row) => rest(row.ram_total_mb, row.ram_used_mb) },
      { name: "In the machine", value: "ram_total_mb", look: "limit" },
    ] },
    { title: "Host processor", unit: "%", top: 100, lines: [{ name: "All cores", value: "cpu_pct", look: "ours", fill: true }] },
  ],
};

function rest(total, used) {
  return total == null || used == null ? null : total - used;
}

function valueOf(line, row) {
  return (typeof line.value === "string" ? row[line.value] : line.value(row)) ?? null;
}

export function figure(value, unit) {
  if (value == null) return UNKNOWN;
  if (unit === "MB" && value >= 1024) return `${(value / 1024).toFixed(1)} GB`;
  return `${value.toFixed(value < 10 && value % 1 ? 1 : 0)} ${unit}`;
}

function words(text) {
  return text.replaceAll("_", " ");
}

function clear(colour, share) {
  return colour.replace("rgb(", "rgba(").replace(")", `, ${share})`);
}

export class TimelineChart {
  constructor({ spec, device, colours, isLast, span, height }) {
    Object.assign(this, { spec, device, colours, isLast, span });
    this.rows = [];
    this.marks = [];
    this.drawn = spec.lines.filter((line) => line.look);
    this.element = document.getElementById("timeline-figure").content.firstElementChild.cloneNode(true);
    this.element.querySelector(".timeline-title").textContent = spec.title;
    this.element.querySelector("caption").textContent = `${spec.title} of ${device.name}, last ten minutes`;
    this.#addKey();
    this.height = height;
    this.plot = null;
  }

  // The element must be in the page, so that its width is known.
  draw() {
    const holder = this.element.querySelector(".timeline-plot");
    this.plot = new uPlot(this.#options(holder.clientWidth), this.#data(), holder);
    const canvas = this.plot.ctx.canvas;
    canvas.setAttribute("role", "img");
    canvas.setAttribute("aria-label", `${this.spec.title} of ${this.device.name} over the last ten minutes. The table after this picture has the figures.`);
    new ResizeObserver(() => this.plot.setSize({ width: holder.clientWidth, height: this.height })).observe(holder);
  }

  show(rows, marks) {
    this.rows = rows;
    this.marks = marks;
    this.plot.setData(this.#data());
    this.#tell(rows.at(-1));
  }

  redraw() {
    this.plot.redraw(false);
  }

  // What the canvas shows, for those who do not see it.
  fillTable() {
    const lines = this.spec.lines.map((line) => {
      const known = this.rows.map((row) => valueOf(line, row)).filter((value) => value != null);
      const mean = known.length ? known.reduce((sum, value) => sum + value, 0) / known.length : null;
      const last = this.rows.length ? valueOf(line, this.rows.at(-1)) : null;
      const cells = known.length ? [last, Math.min(...known), mean, Math.max(...known)] : [null, null, null, null];
      return [line.name, ...cells.map((value) => figure(value, this.spec.unit))];
    });
    const body = document.createElement("tbody");
    for (const [name, ...cells] of lines) {
      const row = body.insertRow();
      const head = document.createElement("th");
      head.scope = "row";
      head.textContent = name;
      row.append(head);
      for (const text of cells) row.insertCell().textContent = text;
    }
    this.element.querySelector("tbody").replaceWith(body);
    if (this.spec.throttle) this.element.querySelector(".timeline-note").textContent = this.#throttleWords();
  }

  #addKey() {
    const key = this.element.querySelector(".timeline-key");
    this.values = this.spec.lines.map((line) => {
      const entry = document.createElement("span");
      if (line.look) entry.append(Object.assign(document.createElement("span"), { className: `timeline-swatch timeline-${line.look}` }));
      const value = document.createElement("b");
      entry.append(`${line.name} `, value);
      key.append(entry);
      return value;
    });
  }

  #tell(row) {
    this.spec.lines.forEach((line, at) => {
      this.values[at].textContent = row ? figure(valueOf(line, row), this.spec.unit) : UNKNOWN;
    });
  }

  #data() {
    const columns = [[], ...this.drawn.map(() => [])];
    let before = null;
    for (const row of this.rows) {
      if (before !== null && row.at_s - before > GAP_S) {
        columns[0].push(before + 0.1);
        columns.slice(1).forEach((column) => column.push(null));
      }
      columns[0].push(row.at_s);
      this.drawn.forEach((line, at) => columns[at + 1].push(valueOf(line, row)));
      before = row.at_s;
    }
    return columns;
  }

  #options(width) {
    const { spec, colours } = this;
    const grid = { stroke: () => colours.of("grid"), width: 1 };
    const axis = { stroke: () => colours.of("text"), font: "12px system-ui, sans-serif", grid, ticks: { show: false } };
    return {
      width,
      height: this.height,
      padding: [8, 12, this.isLast ? 0 : 6, 0],
      legend: { show: false },
      cursor: { sync: { key: "timelines" }, drag: { x: false, y: false } },
      scales: {
        x: { time: true, range: () => this.span() },
        y: { range: (_, low, high) => [0, spec.top ?? Math.max(1, (high ?? 0) * (spec.tall ? 1.2 : 1.08))] },
      },
      axes: [
        { ...axis, show: this.isLast, size: 28, incrs: [60, 120, 300], space: 56, values: (_, at) => at.map((s) => new Date(1000 * s).toISOString().slice(11, 16)) },
        { ...axis, size: 68, space: 26, incrs: spec.unit === "MB" ? MB_STEPS : undefined, values: (_, at) => at.map((value) => figure(value, spec.unit).replace(".0 ", " ")) },
      ],
      series: [{}, ...this.drawn.map((line) => this.#series(line))],
      hooks: {
        drawClear: [(plot) => this.#drawThrottle(plot)],
        draw: [(plot) => this.#drawMarks(plot)],
        setCursor: [(plot) => this.#tell(this.#rowAt(plot) ?? this.rows.at(-1))],
      },
    };
  }

  #series(line) {
    const { colours } = this;
    return {
      label: line.name,
      stroke: () => colours.of(line.look),
      fill: line.fill ? () => clear(colours.of(line.look), 0.3) : undefined,
      width: 1.5,
      dash: line.look === "limit" ? [5, 4] : undefined,
      points: { show: false },
      spanGaps: false,
    };
  }

  #rowAt(plot) {
    if (plot.cursor.left == null || plot.cursor.left < 0) return null;
    const at = plot.posToVal(plot.cursor.left, "x");
    const last = this.rows.findLast((row) => row.at_s <= at);
    return last && at - last.at_s <= GAP_S ? last : null;
  }

  // Stretches in which something slowed the card down: a ground, and what it was if there is room.
  #drawThrottle(plot) {
    if (!this.spec.throttle) return;
    const { ctx, bbox } = plot;
    ctx.save();
    ctx.beginPath();
    ctx.rect(bbox.left, bbox.top, bbox.width, bbox.height);
    ctx.clip();
    ctx.font = `${11 * devicePixelRatio}px system-ui, sans-serif`;
    ctx.textBaseline = "top";
    ctx.textAlign = "left";
    for (const { from, to, causes } of this.#slowed()) {
      const left = plot.valToPos(from, "x", true);
      const width = Math.max(2 * devicePixelRatio, plot.valToPos(to, "x", true) - left);
      ctx.fillStyle = clear(this.colours.of("warn"), 0.25);
      ctx.fillRect(left, bbox.top, width, bbox.height);
      ctx.fillStyle = this.colours.of("warn");
      ctx.fillRect(left, bbox.top, width, 3 * devicePixelRatio);
      if (ctx.measureText(causes).width < width - 6) ctx.fillText(causes, left + 3, bbox.top + 5 * devicePixelRatio);
    }
    ctx.restore();
  }

  #slowed() {
    const stretches = [];
    for (const row of this.rows) {
      const causes = (row.throttle ?? []).map(words).join(", ");
      const last = stretches.at(-1);
      if (last?.open && row.at_s - last.to <= GAP_S) {
        last.to = row.at_s;
        last.open = causes === last.causes;
        if (last.open) continue;
      }
      if (last) last.open = false;
      if (causes) stretches.push({ from: row.at_s, to: row.at_s, causes, open: true });
    }
    return stretches;
  }

  #throttleWords() {
    const told = this.rows.filter((row) => row.throttle != null);
    if (!told.length) return "The card does not tell whether it was slowed down.";
    const slowed = told.filter((row) => row.throttle.length);
    const causes = [...new Set(slowed.flatMap((row) => row.throttle))].map(words).join(", ");
    return slowed.length ? `Slowed down in ${slowed.length} of ${told.length} readings: ${causes}.` : "Not slowed down.";
  }

  // Where stages begin; the end of a job is dashed. Lines and names are left out where there is
  // no room: a wall of lines would hide the curve.
  #drawMarks(plot) {
    const { ctx, bbox } = plot;
    let free = -Infinity;
    let drawn = -Infinity;
    ctx.save();
    ctx.beginPath();
    ctx.rect(bbox.left, bbox.top, bbox.width, bbox.height);
    ctx.clip();
    ctx.font = `${11 * devicePixelRatio}px system-ui, sans-serif`;
    ctx.textBaseline = "top";
    ctx.textAlign = "left";
    ctx.fillStyle = this.colours.of("mark");
    ctx.strokeStyle = clear(this.colours.of("mark"), 0.5);
    ctx.lineWidth = devicePixelRatio;
    for (const [at, , stage] of this.marks) {
      const left = Math.round(plot.valToPos(at, "x", true));
      if (left - drawn < MARK_GAP_PX * devicePixelRatio) continue;
      drawn = left;
      ctx.setLineDash(stage ? [] : [2 * devicePixelRatio, 3 * devicePixelRatio]);
      ctx.beginPath();
      ctx.moveTo(left, bbox.top);
      ctx.lineTo(left, bbox.top + bbox.height);
      ctx.stroke();
      if (!stage || !this.spec.tall || left < free || left < bbox.left) continue;
      const gap = 3 * devicePixelRatio;
      const width = ctx.measureText(words(stage)).width;
      const fits = left + gap + width < bbox.left + bbox.width;
      if (!fits && left - gap - width < free) continue;
      ctx.fillText(words(stage), fits ? left + gap : left - gap - width, bbox.top + gap);
      free = left + width + 3 * gap;
    }
    ctx.restore();
  }
}
