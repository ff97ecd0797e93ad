// The picture of all cells: points from the server, drawn, pointed at, marked, outlined. Without it the page has squares and lists.
import { Drawing, paletteOf } from "./atlas-draw.js";
import { Hand } from "./atlas-hand.js";
import { Points, cellOf, cornersOf, outlineOf } from "./atlas-points.js";
import { Tip } from "./atlas-tip.js";

const SWAPPED = ["atlas-found", "atlas-legend", "atlas-told", "chosen", "atlas-regions"];
const frame = document.getElementById("atlas");
const form = document.getElementById("ask");
const status = document.getElementById("atlas-status");
const space = JSON.parse(frame.dataset.space);
const asked = { by: frame.dataset.by, colour: frame.dataset.colour, q: frame.dataset.q, within: frame.dataset.within };
const canvas = document.createElement("canvas"), over = document.createElement("canvas");
let points = null, drawing = null, hand = null, tip = null, tones = new Uint8Array(), found = null;
let marked = null; // what is marked: "q", "within", or the number of a class
let waiting = 0, running = null;

const tell = (text) => { status.textContent = text; };
const bytes = async (path, query) => {
  const answer = await fetch(`/atlas/${path}?${new URLSearchParams(query)}`);
  if (!answer.ok) throw new Error((await answer.json()).error?.message ?? `the server answered ${answer.status}`);
  return answer.arrayBuffer();
};
const safely = (act) => async (...told) => {
  try { await act(...told); } catch (error) {
    if (error.name === "AbortError") return;
    tell(error instanceof TypeError ? "The explorer does not answer; what is shown may be old. Try again." : error.message);
  }
};

const redraw = () => {
  cancelAnimationFrame(waiting);
  waiting = requestAnimationFrame(() => {
    const view = hand.view;
    drawing.draw(view);
    const flat = over.getContext("2d"), ratio = devicePixelRatio;
    flat.clearRect(0, 0, over.width, over.height);
    const at = ([x, y]) => [(x - view.x) * view.scale, over.height - (y - view.y) * view.scale];
    flat.strokeStyle = getComputedStyle(frame).color;
    flat.lineWidth = 1.5 * ratio;
    const outline = hand.outline ?? (asked.within ? cornersOf(asked.within) : null);
    if (outline) {
      flat.setLineDash([5 * ratio, 4 * ratio]);
      flat.beginPath();
      outline.forEach((corner) => flat.lineTo(...at(corner)));
      flat.closePath();
      flat.stroke();
      flat.setLineDash([]);
    }
    if (tip.point >= 0) {
      flat.beginPath();
      flat.arc(...at([points.places[2 * tip.point], points.places[2 * tip.point + 1]]), 7 * ratio, 0, 7);
      flat.stroke();
    }
    frame.dataset.drawn = String(Number(frame.dataset.drawn ?? 0) + 1);
  });
};

const mark = (kind) => {
  marked = kind;
  let marks = new Uint8Array(points.n);
  if (kind === "q" && found) marks = found;
  else if (kind === "within" && asked.within) marks = points.within(cornersOf(asked.within));
  else if (typeof kind === "number") marks = Uint8Array.from(tones, (one) => (one === kind ? 1 : 0));
  drawing.set({ marks });
  frame.dataset.marked = marks.reduce((sum, one) => sum + one, 0);
  for (const button of document.querySelectorAll("#atlas-legend button")) button.setAttribute("aria-pressed", String(Number(button.dataset.number) === kind));
  redraw();
};

const legend = () => {
  for (const item of document.querySelectorAll("#atlas-legend li[data-number]")) {
    const button = document.createElement("button");
    button.type = "button";
    button.dataset.number = item.dataset.number;
    button.title = "Mark these cells";
    button.setAttribute("aria-pressed", "false");
    button.append(...item.childNodes);
    item.append(button);
    button.addEventListener("click", () => mark(marked === Number(button.dataset.number) ? null : Number(button.dataset.number)));
  }
};

const size = () => {
  const box = frame.getBoundingClientRect();
  for (const one of [canvas, over]) { one.width = Math.max(1, Math.round(box.width * devicePixelRatio)); one.height = Math.max(1, Math.round(box.height * devicePixelRatio)); }
  redraw();
};
const recolour = () => { drawing.set({ palette: paletteOf(frame.dataset.scale === "yes", frame) }); redraw(); };

const fill = async (what) => {
  const { by, colour, q } = asked;
  const [places, colours, finds] = await Promise.all([
    what.places ? bytes("points.bin", { by }) : null,
    what.colours ? bytes("colour.bin", { by, colour }) : null,
    what.found && q ? bytes("found.bin", { q }) : null,
  ]);
  if (places) points = new Points(places);
  if (colours) tones = new Uint8Array(colours);
  if (what.found) found = finds && new Uint8Array(finds);
  drawing.set({ places: points.places, tones });
  recolour();
};

// another address of this page: its words are swapped, its points fetched where they differ, the view stays
const load = safely(async (address) => {
  running?.abort();
  running = new AbortController();
  const chosen = document.getElementById("chosen");
  chosen.setAttribute("aria-busy", "true");
  try {
    const answer = await fetch(address, { headers: { accept: "text/html" }, signal: running.signal });
    const page = new DOMParser().parseFromString(await answer.text(), "text/html");
    const next = page.getElementById("atlas");
    if (!next) { tell(page.querySelector("main")?.innerText.trim().split("\n").filter(Boolean).join(" ") ?? "This cannot be shown."); return; }
    const before = { ...asked };
    for (const name of ["by", "colour", "q", "within"]) asked[name] = frame.dataset[name] = next.dataset[name];
    frame.dataset.scale = next.dataset.scale;
    for (const id of SWAPPED) {
      const here = document.getElementById(id), there = page.getElementById(id);
      if (here && there) here.replaceWith(document.adoptNode(there));
      else if (here) here.replaceChildren();
      else if (there) document.getElementById("content").append(document.adoptNode(there));
    }
    legend();
    history.replaceState(null, "", address);
    const places = asked.by !== before.by, was = marked;
    if (places) { hand.whole(); tip.hide(); }
    await fill({ places, colours: places || asked.colour !== before.colour, found: asked.q !== before.q });
    const anew = places || asked.colour !== before.colour;
    if (marked !== was) mark(marked); // a class was chosen meanwhile
    else if (asked.within && (anew || asked.within !== before.within)) mark("within");
    else if (asked.q && (anew || asked.q !== before.q)) mark("q");
    else mark(anew ? null : marked);
    tell("");
    if (asked.within && asked.within !== before.within) below();
  } finally { document.getElementById("chosen").removeAttribute("aria-busy"); }
});
const below = () => {
  const link = document.createElement("a");
  link.href = "#chosen";
  link.textContent = document.getElementById("chosen-title").textContent;
  status.replaceChildren(link, ": listed below.");
};
const address = (changes) => `/atlas?${new URLSearchParams(Object.entries({ ...asked, ...changes }).filter(([, value]) => value))}`;

const tells = {
  moved: () => { if (points) { tip.place(); redraw(); } },
  outlined: (corners) => { asked.within = outlineOf(corners); mark("within"); load(address({})); },
  pointed: (x, y, near, touched) => { if (points) { tip.show(points.nearest(x, y, near), touched); redraw(); } },
  left: () => { tip.hide(); redraw(); },
  chose: (event) => {
    if (tip.point < 0 || event.pointerType !== "mouse") return; // a finger follows the link of what it sees
    const to = `/cells/${cellOf(space, points.numbers[tip.point])}`;
    if (event.ctrlKey || event.metaKey) window.open(to, "_blank", "noopener");
    else location.href = to;
  },
  cleared: () => { asked.within = ""; mark(null); tip.hide(); load(address({})); },
};

const start = safely(async () => {
  canvas.tabIndex = 0;
  canvas.setAttribute("role", "application");
  canvas.setAttribute("aria-label", "All cells as points; the same cells are in the tables below");
  over.className = "over";
  drawing = new Drawing(canvas, new URLSearchParams(location.search).has("plain"));
  hand = new Hand(canvas, tells);
  tip = new Tip(frame, () => ({ points, space, view: hand.view, ratio: devicePixelRatio }));
  await fill({ places: true, colours: true, found: true });
  frame.replaceChildren(canvas, over, tip.box);
  document.querySelector(".atlas-tools").hidden = false;
  document.querySelector(".atlas-help").hidden = false;
  legend();
  new ResizeObserver(size).observe(frame);
  size();
  new MutationObserver(recolour).observe(document.documentElement, { attributes: true, attributeFilter: ["data-theme"] });
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", recolour);
  mark(asked.within ? "within" : asked.q ? "q" : null);
});

document.querySelector(".atlas-tools").addEventListener("click", (event) => {
  const { tool, do: act } = event.target.closest("button")?.dataset ?? {};
  if (tool) {
    hand.choose(tool);
    for (const one of document.querySelectorAll("[data-tool]")) one.setAttribute("aria-pressed", String(one.dataset.tool === tool));
  } else if (act === "in" || act === "out") hand.zoomBy(act === "in" ? 1.4 : 1 / 1.4);
  else if (act === "whole") { hand.whole(); redraw(); }
  else if (act === "list") tells.outlined(hand.inView);
});
form.addEventListener("submit", (event) => { event.preventDefault(); load(address(Object.fromEntries(new FormData(form)))); });
form.addEventListener("change", (event) => { if (event.target.tagName === "SELECT") form.requestSubmit(); });
document.getElementById("content").addEventListener("click", (event) => {
  const link = event.target.closest("a.square, #chosen .beside a");
  if (!link || event.ctrlKey || event.metaKey || event.shiftKey || event.button) return;
  event.preventDefault();
  load(link.href);
});
start();
