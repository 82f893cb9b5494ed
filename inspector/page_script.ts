// The script of the inspector's page: it receives the stream of changes and shows them. Text from clients and
// the application reaches the page as text nodes only.

/** The page's script, for recent browsers. */
export const SCRIPT: string = String.raw`
"use strict";
const MAX_ROWS = 200, WINDOW = 60000;
const SVG = "http://www.w3.org/2000/svg";
const byId = (id) => document.getElementById(id);

const routes = new Map(), contexts = new Map(), errors = new Map();
let last = null, rates = [], isPaused = false, filter = "";

// --- Making elements ---

function element(name, { cls, text, ...attributes } = {}, ...children) {
  const made = document.createElement(name);
  if (cls) made.className = cls;
  if (text !== undefined) made.textContent = text;
  for (const [key, value] of Object.entries(attributes)) made[key] = value;
  made.append(...children);
  return made;
}

function set(node, text) {
  if (node.textContent !== text) node.textContent = text;
}

// Shows items as rows in order, each made once by its key: what is selected or open stays so.
const shownRows = new WeakMap();
function show(container, items, { key, make, update }) {
  if (!shownRows.has(container)) shownRows.set(container, new Map());
  const rows = shownRows.get(container);
  const keys = new Set();
  let place = container.firstElementChild;
  for (const item of items) {
    const id = key(item);
    keys.add(id);
    let row = rows.get(id);
    if (row === undefined) rows.set(id, row = make(item));
    update(row, item);
    if (row.node === place) place = place.nextElementSibling;
    else container.insertBefore(row.node, place);
  }
  for (const [id, row] of rows) {
    if (keys.has(id)) continue;
    row.node.remove();
    rows.delete(id);
  }
  const card = container.closest(".card");
  if (card) {
    card.querySelector(".empty").hidden = items.length > 0;
    const table = card.querySelector("table");
    if (table) table.hidden = items.length === 0;
  }
}

// --- Text ---

function duration(ms) {
  if (ms === null || ms === undefined) return "–";
  if (ms < 1) return ms.toFixed(2) + " ms";
  if (ms < 10) return ms.toFixed(1) + " ms";
  if (ms < 1000) return Math.round(ms) + " ms";
  if (ms < 60000) return (ms / 1000).toFixed(ms < 10000 ? 1 : 0) + " s";
  if (ms < 3600000) return Math.floor(ms / 60000) + " min";
  return (ms / 3600000).toFixed(1) + " h";
}

const number = (n) => n.toLocaleString("en");
const clock = (time) => new Date(time).toTimeString().slice(0, 8);
const matches = (...texts) => filter === "" || texts.some((it) => it.toLowerCase().includes(filter));

// --- Parts of the page ---

const TILES = [
  ["Requests/s", (it) => [rate().toFixed(rate() < 10 ? 1 : 0)]],
  ["Requests", (it) => [number(it.requests)]],
  ["Median", (it) => duration(it.p50).split(" ")],
  ["p99", (it) => duration(it.p99).split(" ")],
  ["Failed", (it) => [number(it.failures)], (it) => it.failures > 0],
  ["Refused", (it) => [number(it.refused)]],
  ["Connections", (it) => [number(it.open)]],
  ["Contexts", (it) => [number(it.ctxs)]],
  ["Memory", (it) => [String(Math.round(it.memory / 1048576)), "MB"]],
  ["Up", (it) => duration(it.uptime).split(" ")],
];

function rate() {
  if (rates.length < 2) return 0;
  const first = rates[0], latest = rates[rates.length - 1];
  return Math.max(0, (latest.requests - first.requests) / (latest.time - first.time) * 1000);
}

function showTiles() {
  show(byId("tiles"), TILES, {
    key: ([name]) => name,
    make: ([name]) => {
      const text = document.createTextNode(""), unit = element("small");
      const figure = element("b", {}, text, unit);
      return { node: element("div", { cls: "tile" }, element("span", { text: name }), figure), text, unit };
    },
    update: ({ node, text, unit }, [, value, isBad]) => {
      const [amount, what = ""] = value(last);
      if (text.data !== amount) text.data = amount;
      set(unit, what && " " + what);
      node.classList.toggle("bad", Boolean(isBad && isBad(last)));
    },
  });
}

function splitMethod(text) {
  const found = /^([A-Z]+)[: ](.*)$/s.exec(text);
  return found ? [found[1], found[2]] : ["", text];
}

function showRoutes() {
  const all = [...routes.values()].filter((it) => matches(it.pattern, it.name))
    .sort((a, b) => b.count - a.count || (a.id === 0) - (b.id === 0) || a.id - b.id);
  set(byId("routes-more"), all.length > MAX_ROWS ? MAX_ROWS + " of " + number(all.length) : number(all.length));
  show(byId("routes"), all.slice(0, MAX_ROWS), {
    key: (it) => it.id,
    make: (it) => {
      const [method, pattern] = splitMethod(it.pattern);
      const cells = ["num", "num wide", "num", "num wide", "num"].map((cls) => element("td", { cls }));
      return {
        node: element("tr", {},
          element("td", {}, element("span", { cls: "method " + (method || "none"), text: method })),
          element("td", { cls: "grow", text: pattern, title: it.name }), ...cells),
        cells,
      };
    },
    update: ({ cells }, it) => {
      const texts = [number(it.count), it.active ? number(it.active) : "", it.errors ? number(it.errors) : "",
        duration(it.p50), duration(it.p99)];
      texts.forEach((text, i) => set(cells[i], text));
      cells[2].classList.toggle("bad-text", it.errors > 0);
    },
  });
}

function statusOf(it) {
  if (it.status > 0) return [String(it.status), "s" + String(it.status)[0]];
  if (it.duration === null) return ["…", "soft"];
  return it.hasFailed ? ["✕", "s5"] : [it.isRequest ? "–" : "·", "soft"];
}

// Place and width of a bar, both in percent.
function placeBar(bar, start, width, cls) {
  bar.style.left = Math.max(0, Math.min(99, start)) + "%";
  bar.style.width = Math.max(0, Math.min(100 - start, width)) + "%";
  bar.className = cls;
}

const barClass = (it) => it.duration === null ? "open" : it.hasFailed || it.error ? "failed" : "";
const elapsed = (it) => it.duration === null ? Math.max(0, last.time - it.time) : it.duration;

function showContexts() {
  const all = [...contexts.values()].reverse()
    .filter((it) => matches(it.label, ...it.events.map((event) => event.path), String(it.status)));
  // From 0.1 ms on, by powers of ten: what takes long is seen beside what is quick.
  const scale = (ms) => 5 + 19 * Math.log10(1 + ms * 10);
  show(byId("contexts"), all, {
    key: (it) => it.id,
    make: (it) => {
      const [method, label] = it.isRequest ? splitMethod(it.label) : ["", it.label];
      const status = element("span"), bar = element("i"), took = element("span", { cls: "num" });
      const events = element("div", { cls: "events" });
      return {
        node: element("details", {},
          element("summary", { title: it.label },
            element("span", { cls: "time", text: clock(it.time) }), status,
            element("span", { cls: "label" }, element("span", { cls: "method " + (method || "none"), text: method }), label),
            element("span", { cls: "track" }, bar), took),
          events),
        status, bar, took, events,
      };
    },
    update: ({ node, status, bar, took, events }, it) => {
      const [text, cls] = statusOf(it);
      set(status, text);
      status.className = cls;
      placeBar(bar, 0, scale(elapsed(it)), barClass(it));
      set(took, duration(elapsed(it)));
      if (node.open) showEvents(events, it);
      else if (!node.ontoggle) node.ontoggle = () => node.open && showEvents(events, contexts.get(it.id) ?? it);
    },
  });
}

function showEvents(container, it) {
  const total = Math.max(0.001, elapsed(it));
  const items = it.events.map((event, i) => ({ ...event, i }));
  if (it.moreEvents > 0) items.push({ i: -1, path: "and " + number(it.moreEvents) + " more events", start: 0, duration: 0 });
  if (items.length === 0) items.push({ i: -2, path: "no event: no route matches", start: 0, duration: total });
  show(container, items, {
    key: (event) => event.i,
    make: () => {
      const [path, name, error] = ["", "soft", "bad-text"].map((cls) => element("span", { cls }));
      const bar = element("i"), took = element("span", { cls: "num soft" });
      const node = element("div", {}, element("p", {}, path, name, error), element("span", { cls: "track" }, bar), took);
      return { node, path, name, error, bar, took };
    },
    update: ({ path, name, error, bar, took }, event) => {
      set(path, event.path);
      set(name, event.name !== event.path && event.name || "");
      set(error, event.error || "");
      const end = event.duration === null ? total : event.start + event.duration;
      placeBar(bar, event.start / total * 100, (end - event.start) / total * 100, barClass(event));
      set(took, event.i < 0 ? "" : duration(end - event.start));
    },
  });
}

function showChart() {
  const svg = byId("chart");
  const width = svg.clientWidth || 600, height = svg.clientHeight || 150;
  const x = (time) => width - (last.time - time) / WINDOW * width;
  const y = (ms) => height - 14 - Math.min(1, Math.log10(1 + ms * 10) / 5) * (height - 28);
  const shapes = [];
  const shape = (name, attributes, text) => {
    const made = document.createElementNS(SVG, name);
    for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
    if (text) made.textContent = text;
    shapes.push(made);
    return made;
  };
  for (const [ms, label] of [[1, "1 ms"], [10, "10 ms"], [100, "100 ms"], [1000, "1 s"], [10000, "10 s"]]) {
    shape("line", { x1: 0, x2: width, y1: y(ms), y2: y(ms) });
    shape("text", { x: 14, y: y(ms) - 3 }, label);
  }
  for (const it of contexts.values()) {
    if (last.time - it.time > WINDOW || !matches(it.label)) continue;
    const cls = it.duration === null ? "warn" : it.hasFailed ? "bad"
      : it.status >= 400 ? "warn" : it.isRequest ? "good" : "info";
    const circle = shape("circle", { cx: x(it.time), cy: y(elapsed(it)), r: 4 });
    circle.style.fill = "var(--" + cls + ")";
    circle.style.opacity = 0.75;
    const title = document.createElementNS(SVG, "title");
    title.textContent = it.label + " – " + duration(elapsed(it));
    circle.append(title);
  }
  svg.replaceChildren(...shapes);
}

function showConnections() {
  const shown = last.connections.filter((it) => matches(it.address, it.state, it.request ?? ""));
  set(byId("connections-more"), number(last.open) + " open");
  show(byId("connections"), shown, {
    key: (it) => it.address + " " + it.state + Math.round((last.time - it.age) / 2000),
    make: (it) => {
      const cells = ["grow wide", "num", "num"].map((cls) => element("td", { cls }));
      const state = element("span");
      return {
        node: element("tr", {}, element("td", { cls: "mono", text: it.address }), element("td", {}, state), ...cells),
        state, cells,
      };
    },
    update: ({ node, state, cells }, it) => {
      node.className = it.isOwn ? "own" : "";
      set(state, it.isOwn ? "inspector" : it.state);
      state.className = "pill " + it.state;
      state.title = "server " + it.protocol[0] + ", client " + it.protocol[1];
      set(cells[0], it.request ?? (it.idle > 0 ? "idle for " + duration(it.idle) : ""));
      cells[0].title = it.request ?? "";
      set(cells[1], number(it.requests));
      set(cells[2], duration(it.age));
    },
  });
}

function showErrors() {
  const all = [...errors.values()].filter((it) => matches(it.name, it.message, it.label))
    .sort((a, b) => b.time - a.time || b.revision - a.revision);
  set(byId("errors-more"), all.length > 0 ? number(all.reduce((sum, it) => sum + it.count, 0)) : "");
  show(byId("errors"), all, {
    key: (it) => it.id,
    make: (it) => {
      const count = element("span", { cls: "pill" }), what = element("span", { cls: "what" });
      return {
        node: element("details", {},
          element("summary", {},
            element("span", { cls: "label" }, element("b", { cls: "bad-text", text: it.name }), " " + it.message),
            count, what),
          element("pre", { text: it.stack || it.name + ": " + it.message })),
        count, what,
      };
    },
    update: ({ count, what }, it) => {
      set(count, "× " + number(it.count));
      set(what, clock(it.time) + "  " + it.label);
    },
  });
}

function render() {
  if (last === null || document.hidden) return;
  showTiles();
  showRoutes();
  showContexts();
  showChart();
  showConnections();
  showErrors();
}

// --- The stream ---

function keep(map, items, max) {
  for (const item of items) {
    map.set(item.id, item);
    if (map.size > max) map.delete(map.keys().next().value);
  }
}

function take(update) {
  last = update;
  rates.push({ time: update.time, requests: update.requests });
  while (rates.length > 11) rates.shift();
  for (const id of routes.keys()) if (!update.routeIds.includes(id)) routes.delete(id);
  keep(routes, update.routes, Infinity);
  keep(contexts, update.contexts, MAX_ROWS);
  keep(errors, update.errors, 50);
  if (!isPaused) render();
}

function tell(state) {
  set(byId("state"), isPaused ? "paused" : state);
  byId("state").className = isPaused ? "paused" : state;
}

let state = "connecting";
const source = new EventSource(location.pathname + "/events");
source.onopen = () => {
  // Whatever was known is told anew: the server may have started again.
  for (const map of [routes, contexts, errors]) map.clear();
  rates = [];
  tell(state = "live");
};
source.onerror = () => tell(state = "reconnecting");
source.onmessage = ({ data }) => take(JSON.parse(data));

byId("host").textContent = location.host;
document.title = "Inspector – " + location.host;
byId("filter").oninput = ({ target }) => {
  filter = target.value.trim().toLowerCase();
  render();
};
byId("pause").onclick = () => {
  isPaused = !isPaused;
  set(byId("pause"), isPaused ? "Resume" : "Pause");
  tell(state);
  if (!isPaused) render();
};
document.onvisibilitychange = render;
`;
