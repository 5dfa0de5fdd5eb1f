// The ledger: every decision about this user, newest first, what is new briefly marked. Beneath it, how often their
// events came: a duplicate is no decision, so only the stand-in knows what it was answered.

import { el, put } from "./dom.js";
import { OUTCOMES, moment, tally } from "./words.js";

const body = document.getElementById("ledger");
const empty = document.getElementById("ledger-empty");
const KEPT = 100;
let seen = null; // the highest seq shown; null before the first load, when nothing counts as new

export function clearLedger() {
  seen = null;
  body.replaceChildren();
  empty.hidden = false;
}

// The last event that came for this user, to be sent again.
export const lastEvent = () => body.querySelector("[data-event]")?.dataset.event;

// Adds what is not shown yet and returns those entries that are news.
export function showLedger(entries) {
  const first = seen === null;
  const added = entries.filter((entry) => entry.seq > (seen ?? -1));
  if (added.length) {
    seen = Math.max(...added.map((entry) => entry.seq));
    body.prepend(...added.map((entry) => row(entry, !first)));
    while (body.rows.length > KEPT) body.rows[body.rows.length - 1].remove();
  } else if (first) {
    seen = 0;
  }
  empty.hidden = body.rows.length > 0;
  return first ? [] : added;
}

export function showTally(log) {
  const mine = new Set([...body.querySelectorAll("[data-event]")].map((line) => line.dataset.event));
  const taken = log.filter(({ event, outcome }) => outcome === "delivered" && mine.has(event));
  const events = new Set(taken.map(({ event }) => event)).size;
  put("tally", tally(events, taken.length, taken.filter(isDuplicate).length));
}

function isDuplicate({ answer }) {
  try {
    return JSON.parse(answer).outcome === "duplicate";
  } catch {
    return false;
  }
}

function row(entry, isNew) {
  const badge = el("span", { className: "badge" }, entry.outcome);
  badge.dataset.outcome = entry.outcome;
  const event = el("td", { className: "event" }, el("code", {}, entry.event_type ?? entry.source));
  const line = el("tr", {}, el("td", {}, badge), event, el("td", {}, ...consequence(entry)), el("td", { className: "at" }, moment(entry.at)));
  line.classList.toggle("new", isNew);
  line.dataset.outcome = entry.outcome;
  if (entry.event_id) line.dataset.event = line.title = entry.event_id;
  return line;
}

function consequence({ outcome, trigger, from, to, guard }) {
  if (outcome === "applied" && from && to) {
    const move = from === to ? `${to}, new facts` : `${from} → ${to}`;
    return [el("b", {}, trigger ?? ""), ` ${move}`];
  }
  if (outcome === "refused") return ["guard ", el("b", {}, guard ?? "?"), " said no"];
  if (outcome === "pending" && guard) return ["Stripe is asked: ", el("b", {}, guard), " said no"];
  return [OUTCOMES[outcome] ?? "kept what it tells of the customer"];
}
