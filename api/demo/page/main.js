// Puts the page together: who is signed in, the live state, and what is read again when something happened.

import { configure, currentUser, get, signIn, stripe } from "./api.js";
import { forgetLever, readSandbox, showControls, showLever, wireControls } from "./controls.js";
import { drawWay, lightState, tellMove } from "./diagram.js";
import { el, say, sorry } from "./dom.js";
import { clearLedger, showLedger, showTally } from "./ledger.js";
import { loadPlans, showPlans } from "./plans.js";
import { showLive, showState } from "./state.js";
import { follow } from "./stream.js";

const USERS = ["demo", "alice", "bob", "carol"];
const LOOK_EVERY = 1_500; // duplicates and refusals change no state, so the stream does not tell of them

const board = document.querySelector("main");
let stop = () => {};
let subscription = null;
let hasLedger = false;
let now = new Date();

function show() {
  if (!subscription) return;
  showState(subscription, now);
  showPlans(subscription);
  showControls(subscription);
  lightState(subscription.state);
}

async function readLedger() {
  const user = currentUser();
  const asked = [get("subscription/history?limit=50"), stripe.get("/_sandbox/deliveries")];
  const [{ items }, { log }] = await Promise.all(asked);
  if (user !== currentUser()) return;
  const moves = (entries) => entries.filter((entry) => entry.outcome === "applied" && entry.from && entry.to);
  const isFirst = !hasLedger;
  hasLedger = true;
  const fresh = moves(showLedger(items));
  showTally(log);
  if (!fresh.length && !isFirst) return;
  tellMove(moves(items)[0]);
  await drawWay(fresh);
}

async function look() {
  now = await readSandbox();
  show();
  await readLedger();
}

async function enter(user) {
  stop();
  board.inert = true; // until the state of this user is here: no click may act for the one before
  delete document.documentElement.dataset.state;
  await signIn(user);
  sessionStorage.setItem("user", user);
  showLever();
  clearLedger();
  hasLedger = false;
  subscription = null;
  const changed = (state) => {
    subscription = state;
    show();
    board.inert = false;
    readLedger().catch(() => {});
  };
  stop = follow("subscription/stream", changed, showLive);
  await look();
}

function chooser(chosen) {
  const select = document.getElementById("user");
  const names = [...new Set([...USERS, chosen])];
  select.replaceChildren(...names.map((name) => el("option", { value: name, selected: name === chosen }, name)));
  select.addEventListener("change", () => enter(select.value).catch(sorry));
}

// Checkout and portal come back with a word in the query; say it once and leave a clean address.
function welcomeBack(query) {
  const words = { success: "Checkout done. The webhook moves the machine.", cancel: "Checkout left. Nothing was bought." };
  const outcome = query.get("checkout");
  if (words[outcome]) say(words[outcome]);
  if (outcome === "success" || query.has("portal")) forgetLever();
  if (location.search) history.replaceState(null, "", location.pathname);
}

async function begin() {
  const config = await configure();
  const query = new URLSearchParams(location.search);
  const user = query.get("user") ?? sessionStorage.getItem("user") ?? config.user;
  chooser(user);
  await signIn(user);
  welcomeBack(query);
  await loadPlans();
  wireControls(look);
  await enter(user);
  setInterval(() => document.hidden || look().catch(() => {}), LOOK_EVERY);
}

begin().catch(sorry);
