// Charts of an alias: every version on the same axes, what is certain and what is not.
/* global uPlot */
const few = 30; // requests in a point that are too few for a line

const css = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
const fade = (color, alpha) => `color-mix(in srgb, ${color} ${alpha * 100}%, transparent)`;

function palette(versions) {
  const others = [css("--link"), css("--good"), css("--bad")];
  let canary = false, baseline = false;
  return versions.map((v) => {
    if (v.canary && !canary) { canary = true; return css("--canary"); }
    if (!v.canary && !baseline) { baseline = true; return css("--baseline"); }
    return others.shift() ?? css("--soft");
  });
}

const shape = (v) => (v.canary ? "M6 0 12 6 6 12 0 6z" : "M0 0h12v12H0z");
const percent = (x) => (x === 0 ? "0 %" : `${(100 * x).toPrecision(2)} %`);
const millis = (x) => (x >= 1000 ? `${(x / 1000).toFixed(1)} s` : `${x >= 10 ? Math.round(x) : x.toFixed(1)} ms`);

class Charts {
  constructor(el) {
    this.el = el;
    this.over = "15m";
    this.plots = [];
    el.addEventListener("click", (e) => {
      const button = e.target.closest("[data-over]");
      if (!button) return;
      this.over = button.dataset.over;
      for (const b of el.querySelectorAll("[data-over]")) b.setAttribute("aria-pressed", b === button);
      this.load();
    });
    addEventListener("themechange", () => this.draw());
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.draw());
    new ResizeObserver(() => this.resize()).observe(el);
    this.load();
    setInterval(() => { if (!document.hidden) this.load(); }, 5000);
  }

  async load() {
    try {
      const answer = await fetch(`${this.el.dataset.series}&over=${this.over}`);
      if (!answer.ok) return;
      this.data = await answer.json();
      this.draw();
    } catch { /* the server is away; the light at the top says so */ }
  }

  draw() {
    if (!this.data) return;
    for (const plot of this.plots) plot.destroy();
    this.colors = palette(this.data.versions);
    this.legend();
    this.plots = [];
    for (const el of this.el.querySelectorAll("[data-chart]")) {
      el.replaceChildren();
      const plot = this.data.versions.some((v) => v.total > 0) && this.plot(el, el.dataset.chart);
      if (plot) this.plots.push(plot);
      else el.append(Object.assign(document.createElement("p"), { className: "nothing", textContent: "no requests in this time" }));
    }
  }

  legend() {
    const list = this.el.querySelector(".legend");
    list.replaceChildren(...this.data.versions.map((v, i) => {
      const item = document.createElement("li");
      const mark = document.createElementNS("http://www.w3.org/2000/svg", "svg");
      mark.setAttribute("viewBox", "0 0 12 12");
      mark.setAttribute("aria-hidden", "true");
      const path = document.createElementNS("http://www.w3.org/2000/svg", "path");
      path.setAttribute("d", shape(v));
      path.setAttribute("fill", this.colors[i]);
      mark.append(path);
      let text = `${v.name}: n = ${v.total.toLocaleString("en")}`;
      if (v.total > 0 && v.total < few) text += ", no judgement";
      else if (v.total > 0) text += `, ${percent(v.errors / v.total)} errors`;
      item.append(mark, text);
      return item;
    }));
  }

  resize() {
    for (const plot of this.plots) {
      const width = plot.root.parentElement.clientWidth;
      if (width && width !== plot.width) plot.setSize({ width, height: 190 });
    }
  }

  // series returns the lists of a kind of chart: for each version its values, and for error rates its band.
  series(kind) {
    const data = [this.data.times];
    const series = [{}];
    const bands = [];
    const perMinute = 60 / this.data.period;
    let below = null;
    this.data.versions.forEach((v, i) => {
      const color = this.colors[i];
      const line = { label: v.name, stroke: color, width: 1.6, spanGaps: false, points: { show: true, size: 4, fill: color, stroke: color } };
      if (kind === "rate") {
        data.push(v.high, v.low, v.rate);
        const at = data.length - 1;
        series.push({ show: true, width: 0, stroke: "transparent", points: { show: false } }, { show: true, width: 0, stroke: "transparent", points: { show: false } });
        bands.push({ series: [at - 2, at - 1], fill: fade(color, 0.16) });
        series.push({ ...line, width: v.total < few ? 0 : 1.6, points: { ...line.points, show: true, filter: (u, s, show, gaps) => this.scarce(v, gaps) } });
      } else if (kind === "p95") {
        data.push(v.p95);
        series.push({ ...line, width: v.total < few ? 0 : 1.6, points: { ...line.points, filter: (u, s, show, gaps) => this.scarce(v, gaps) } });
      } else {
        const sum = v.requests.map((n, t) => (n ?? 0) * perMinute + (below ? below[t] : 0));
        data.push(sum);
        series.push({ ...line, fill: below ? undefined : fade(color, 0.25), points: { show: false }, paths: uPlot.paths.stepped({ align: 1 }) });
        if (below) bands.push({ series: [data.length - 1, data.length - 2], fill: fade(color, 0.35) });
        below = sum;
      }
    });
    return { data, series, bands };
  }

  // scarce are the points that are shown as dots: few requests, or nothing beside them.
  scarce(v, gaps) {
    const list = [];
    v.requests.forEach((n, i) => {
      if (n != null && (n < few || v.requests[i - 1] == null && v.requests[i + 1] == null)) list.push(i);
    });
    return list.length > 200 && !gaps ? null : list;
  }

  plot(el, kind) {
    const { data, series, bands } = this.series(kind);
    const soft = css("--soft"), line = css("--line");
    const axis = { stroke: soft, grid: { stroke: line, width: 1 }, ticks: { show: false }, font: "11px system-ui, sans-serif" };
    const text = { rate: (u, all) => all.map(percent), p95: (u, all) => all.map(millis), requests: (u, all) => all.map((x) => x.toLocaleString("en")) }[kind];
    const tip = document.createElement("div");
    tip.className = "tip";
    tip.hidden = true;
    const plot = new uPlot({
      width: el.clientWidth || 320, height: 190, legend: { show: false }, bands, series,
      cursor: { y: false, points: { show: false }, drag: { x: false, y: false } },
      scales: { x: { time: true }, y: { range: (u, low, high) => [0, kind === "rate" ? Math.min(1, Math.max(0.02, this.highest() * 1.3)) : Math.max(high * 1.15, 1)] } },
      axes: [axis, { ...axis, size: 52, values: text }],
      hooks: { draw: [(u) => this.marks(u)], setCursor: [(u) => this.point(u, tip, kind)] },
    }, data, el);
    el.append(tip);
    return plot;
  }

  // highest is the largest rate: the scale follows the rates, not the bands of few requests.
  highest() { return Math.max(0, ...this.data.versions.flatMap((v) => v.rate.filter((x) => x != null))); }

  // marks draws what happened to the alias.
  marks(u) {
    const { ctx } = u;
    ctx.save();
    for (const mark of this.data.marks) {
      const x = Math.round(u.valToPos(mark.at, "x", true));
      if (x < u.bbox.left || x > u.bbox.left + u.bbox.width) continue;
      ctx.strokeStyle = css(mark.tone === "bad" ? "--bad" : mark.tone === "good" ? "--good" : "--line-strong");
      ctx.lineWidth = devicePixelRatio;
      ctx.setLineDash([4, 4]);
      ctx.beginPath();
      ctx.moveTo(x, u.bbox.top);
      ctx.lineTo(x, u.bbox.top + u.bbox.height);
      ctx.stroke();
    }
    ctx.restore();
  }

  // point says what the values under the cursor are.
  point(u, tip, kind) {
    const i = u.cursor.idx;
    tip.hidden = i == null || u.cursor.left < 0;
    if (tip.hidden) return;
    const at = this.data.times[i];
    const lines = [new Date(at * 1000).toLocaleTimeString()];
    for (const v of this.data.versions) {
      const n = v.requests[i];
      if (n == null) continue;
      if (kind === "requests") lines.push(`${v.name}: ${n.toLocaleString("en")} requests`);
      else if (n < few) lines.push(`${v.name}: n = ${n}, no judgement`);
      else if (kind === "rate") lines.push(`${v.name}: ${percent(v.rate[i])} (${percent(v.low[i])} … ${percent(v.high[i])}), n = ${n}`);
      else lines.push(`${v.name}: ${v.p95[i] == null ? "unknown" : millis(v.p95[i])}, n = ${n}`);
    }
    for (const mark of this.data.marks) if (Math.abs(mark.at - at) <= this.data.period) lines.push(mark.text);
    tip.textContent = lines.join("\n");
    const left = u.cursor.left + 64;
    tip.style.left = left > el(u).clientWidth / 2 ? "" : `${left}px`;
    tip.style.right = left > el(u).clientWidth / 2 ? `${el(u).clientWidth - left + 24}px` : "";
  }
}

const el = (u) => u.root.parentElement;

for (const section of document.querySelectorAll("[data-series]")) new Charts(section);
