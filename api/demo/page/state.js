// The state, large: the lamp, access with its reason, the facts, and what the user may do next.

import { currentUser, post } from "./api.js";
import { busy, el, put } from "./dom.js";
import { REASONS, STATES, day, distance, tone } from "./words.js";

const $ = (id) => document.getElementById(id);

// Every action always has its place, faint while the machine would not accept it: nothing jumps.
const ACTIONS = [
  { needs: "portal", label: "Billing portal", flow: null },
  { needs: "portal", label: "Update card", flow: "payment_method_update" },
  { needs: "change_plan", label: "Change plan", flow: "subscription_update" },
  { needs: "cancel", label: "Cancel", flow: "subscription_cancel" },
  { needs: "pause", label: "Pause", flow: "subscription_pause" },
  { needs: "resume", label: "Resume", flow: null },
];

const buttons = ACTIONS.map(({ needs, label, flow }) => {
  const button = el("button", { type: "button", disabled: true }, label);
  button.dataset.needs = needs;
  button.addEventListener("click", () =>
    busy(button, async () => location.assign((await post("portal", flow ? { flow } : {})).url)),
  );
  return button;
});
$("actions").replaceChildren(...buttons);

export function showState(subscription, now) {
  const { state, access, plan } = subscription;
  $("hero-user").textContent = currentUser();
  const lamp = tone(subscription);
  for (const place of [$("state-panel"), $("chip")]) place.dataset.tone = lamp;
  document.documentElement.dataset.state = state;
  document.title = `${STATES[state] ?? state} · Interlock sandbox`;
  put("chip", STATES[state] ?? state);
  put("state", STATES[state] ?? state);
  put("access", access.granted ? "Access: yes." : "Access: no.");
  put("reason", REASONS[access.reason] ?? access.reason);
  put("until", untilWords(subscription, now));
  put("fact-plan", plan ? planWords(plan) : "–");
  put("fact-period", day(subscription.current_period_end));
  put("fact-trial", day(subscription.trial_end));
  put("fact-cancel", day(subscription.cancel_at));
  put("fact-collection", plan ? (subscription.collection_paused ? "paused" : "on") : "–");
  put("fact-version", String(subscription.version));
  for (const button of buttons) button.disabled = !subscription.available_actions.includes(button.dataset.needs);
}

export function showLive(live) {
  $("live").dataset.live = live ? "yes" : "no";
  put("live", live ? "live" : "reconnecting");
}

function planWords(plan) {
  const name = plan.name ?? plan.price_id;
  return plan.quantity > 1 ? `${name} × ${plan.quantity}` : name;
}

// When the answer would change by the clock alone; else what comes next.
function untilWords({ state, access, trial_end, current_period_end }, now) {
  const when = (time) => `${day(time)} (${distance(time, now)})`;
  if (access.until) return access.granted ? `Until ${when(access.until)}, unless something happens first.` : `Again from ${when(access.until)}.`;
  if (state === "trialing" && trial_end) return `The first payment is due on ${when(trial_end)}.`;
  if (state === "active" && current_period_end) return `It renews on ${when(current_period_end)}.`;
  return "";
}
