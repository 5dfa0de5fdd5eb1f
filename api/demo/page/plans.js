// The pricing table. It stays where it is whatever happens, so a change of state moves nothing on the page.

import { get, post } from "./api.js";
import { busy, el } from "./dom.js";
import { money } from "./words.js";

const list = document.getElementById("plans");
const cards = new Map();

export async function loadPlans() {
  const { items } = await get("plans");
  list.replaceChildren(...items.map(card));
}

function card(plan) {
  const button = el("button", { type: "button", className: "primary" }, "Subscribe");
  const trial = plan.trial_days ? `${plan.trial_days} days free, once` : "Billed at once";
  const price = el("p", { className: "price" }, el("b", {}, money(plan.amount, plan.currency) || "–"));
  if (plan.interval) price.append(` / ${plan.interval}`);
  const features = el("p", { className: "soft small" }, [trial, ...plan.features].join(" · "));
  const item = el("li", { className: "plan" }, el("h3", {}, plan.name), price, features, button);
  item.dataset.plan = plan.key;
  button.addEventListener("click", () =>
    busy(button, async () => {
      const session = await post("checkout", { plan: plan.key });
      location.assign(session.url);
    }),
  );
  cards.set(plan.key, { item, button, plan });
  return item;
}

// One button per plan: subscribe, finish an open checkout, or a plain sign that this is the plan.
export function showPlans(subscription) {
  const open = subscription.available_actions.includes("checkout");
  for (const [key, { item, button, plan }] of cards) {
    const mine = subscription.plan?.key === key && !["none", "canceled", "incomplete_expired"].includes(subscription.state);
    item.classList.toggle("mine", mine);
    button.disabled = !open || (subscription.state === "incomplete" && !mine);
    button.textContent = mine ? (open ? "Finish paying" : "Current plan") : "Subscribe";
    button.setAttribute("aria-label", `${button.textContent}: ${plan.name}`);
  }
}
