// The machine's own drawing, inlined so that CSS can light the current state and the edge just taken.

import { ask } from "./api.js";

const place = document.getElementById("diagram");
const caption = document.getElementById("caption");
let shown = null;
let asked = 0;

// Fetches the drawing of this user's way: the server knows all of it, with its numbers and corrections.
export async function drawWay(fresh) {
  const turn = ++asked;
  const response = await ask("subscription/diagram");
  if (!response.ok) throw new Error("the diagram could not be drawn");
  const text = await response.text();
  if (turn !== asked) return; // a later one is on its way
  const [whole, css = ""] = text.match(/<style>([^]*?)<\/style>/) ?? [""];
  adoptStyle(css);
  const drawing = new DOMParser().parseFromString(text.replace(whole, ""), "image/svg+xml").documentElement;
  place.replaceChildren(document.adoptNode(drawing));
  if (shown) lightState(shown);
  for (const entry of fresh) edges().filter((edge) => matches(edge, entry)).forEach(pulse);
}

// The page's policy allows no inline style; the drawing's own becomes a style sheet of the document, once.
function adoptStyle(css) {
  if (document.adoptedStyleSheets.length) return;
  const sheet = new CSSStyleSheet();
  sheet.replaceSync(css);
  document.adoptedStyleSheets = [sheet];
}

const states = () => [...place.querySelectorAll("g.state")];
const edges = () => [...place.querySelectorAll("g.edge")];

export function lightState(state) {
  for (const node of states()) node.classList.toggle("current", node.dataset.state === state);
  if (state !== shown) bringIntoView(states().find((node) => node.dataset.state === state));
  shown = state;
}

export function tellMove(move) {
  caption.replaceChildren(...(move ? sentence(move) : ["No event has moved it yet."]));
}

const matches = (edge, entry) =>
  edge.dataset.trigger === entry.trigger && edge.dataset.from === entry.from && edge.dataset.to === entry.to;

function sentence({ trigger, from, to, event_type, source }) {
  const bold = document.createElement("b");
  bold.textContent = trigger;
  const by = event_type ?? source;
  return [bold, from === to ? ` kept it ${to}, with new facts: ${by}` : ` moved it ${from} → ${to}: ${by}`];
}

// With a length of 1, CSS can draw any way from its beginning to its end.
function pulse(edge) {
  edge.querySelector(".way").setAttribute("pathLength", "1");
  edge.classList.add("pulse");
}

// Scrolls the drawing only, never the page.
function bringIntoView(node) {
  if (!node || place.scrollWidth <= place.clientWidth) return;
  const box = node.getBoundingClientRect();
  const frame = place.getBoundingClientRect();
  place.scrollLeft += box.left + box.width / 2 - frame.left - frame.width / 2;
}
