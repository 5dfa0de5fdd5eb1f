// The stand-in Stripe's own levers: its clock, the next payment, its settings, and how webhooks misbehave.

import { currentUser, stripe } from "./api.js";
import { busy, put, say, sorry } from "./dom.js";
import { lastEvent } from "./ledger.js";
import { minute } from "./words.js";

const $ = (id) => document.getElementById(id);
const clock = $("clock");
const LIVING = new Set(["incomplete", "trialing", "active", "past_due", "unpaid", "paused"]);

// How likely each kind of mischief is when it is switched on: often enough to see, not so often that nothing arrives.
const LIKELY = { duplicate: 0.7, twin: 0.7, reorder: 1, delay: 0.5, drop: 0.3 };

// What was asked for before a lever moved must not move it back.
let moves = 0;

function pull(path, body) {
  moves += 1;
  return stripe.post(path, body).catch(sorry).finally(() => (moves += 1));
}

export async function readSandbox() {
  const before = moves;
  const state = await stripe.get("/_sandbox/state");
  const now = new Date(state.now * 1000);
  clock.textContent = minute(now);
  clock.dateTime = now.toISOString();
  if (before === moves) {
    $("retries-end").value = state.account.retries_end;
    for (const box of boxes()) box.checked = state.mischief[box.name] > 0;
  }
  put("waiting", state.pending_deliveries ? `${state.pending_deliveries} on their way` : "none on their way");
  return now;
}

// Where the lever stands is remembered here: the stand-in keeps it with the card and does not tell. A visit to
// checkout or portal may have brought another card, and that one does what is printed on it.
const lever = () => `next payment of ${currentUser()}`;
export const forgetLever = () => sessionStorage.removeItem(lever());

export function showLever() {
  const value = sessionStorage.getItem(lever());
  for (const radio of $("next-payment").querySelectorAll("input")) radio.checked = radio.value === value;
}

// A lever that has nothing to pull at is off.
export function showControls(subscription) {
  const living = LIVING.has(subscription.state);
  for (const button of document.querySelectorAll("[data-to]")) {
    button.disabled = button.dataset.to === "trial_end" ? subscription.state !== "trialing" : !living;
  }
  $("next-payment").disabled = !living;
}

export function wireControls(refresh) {
  for (const button of document.querySelectorAll("[data-seconds], [data-to]")) {
    const { seconds, to } = button.dataset;
    const body = () => (to ? { to, user_id: currentUser() } : { seconds: Number(seconds) });
    button.addEventListener("click", () =>
      busy(button.parentElement, async () => {
        await stripe.post("/_sandbox/clock/advance", body());
        await refresh();
      }),
    );
  }
  $("next-payment").addEventListener("change", ({ target }) => {
    sessionStorage.setItem(lever(), target.value);
    pull("/_sandbox/next_payment", { user_id: currentUser(), outcome: target.value });
  });
  $("retries-end").addEventListener("change", (event) =>
    pull("/_sandbox/account", { retries_end: event.target.value }),
  );
  $("mischief").addEventListener("change", () => pull("/_sandbox/mischief", mischief()));
  $("resend").addEventListener("click", (event) => busy(event.currentTarget, resendLast));
}

const boxes = () => [...$("mischief").querySelectorAll("input")];
const mischief = () => Object.fromEntries(boxes().map((box) => [box.name, box.checked ? LIKELY[box.name] : 0]));

async function resendLast() {
  const event = lastEvent();
  if (!event) return say("No event has come for this user yet.");
  await stripe.post("/_sandbox/deliveries/resend", { event });
  return say("Sent again, with the same id: nothing happens twice.");
}
