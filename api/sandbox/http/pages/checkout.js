// The checkout page: what is bought on the left, a test card on the right.

import { $, busy, chosenCard, day, el, money, offerCards, pageId, read, send, tell } from "./common.js";

const path = `/_sandbox/checkout/${pageId()}`;
const cards = $("cards");
let cancelUrl = null;

function show(view) {
  cancelUrl = view.session.cancel_url;
  if (cancelUrl) Object.assign($("back"), { href: cancelUrl, hidden: false });
  $("product").textContent = `Subscribe to ${view.plan ?? "a plan"}`;
  showBill(view);
  if (view.status === "complete") return tell("This checkout is done", "The subscription has begun.", view.session.success_url);
  if (view.status !== "open") return tell("This checkout has expired", "Go back and begin again.", cancelUrl);
  $("notice").hidden = true;
  $("email").textContent = view.customer_email ?? view.session.client_reference_id ?? "a customer";
  $("pay").textContent = view.trial_days ? "Start trial" : `Pay ${money(view.amount_total, view.currency)}`;
  $("fine").textContent = `Cancel whenever you like. This page is open until ${day(view.expires_at)}.`;
  $("promotion").hidden = !view.allow_promotion_codes;
  $("form").hidden = false;
  if (view.awaiting_authentication) challenge();
}

function showBill({ amount, amount_total, amount_discount, currency, interval, trial_days, quantity, plan }) {
  const each = amount * quantity;
  const rhythm = interval ? ` per ${interval}` : "";
  $("figure").textContent = trial_days ? `${trial_days} days free` : money(amount_total, currency);
  $("terms").textContent = trial_days ? `Then ${money(each, currency)}${rhythm}.` : `Billed ${interval ? `every ${interval}` : "once"}, starting today.`;
  const lines = [[quantity > 1 ? `${plan} × ${quantity}` : plan, money(each, currency) + rhythm]];
  if (trial_days) lines.push([`Trial of ${trial_days} days`, money(0, currency)]);
  if (amount_discount) lines.push(["Discount", `−${money(amount_discount, currency)}`]);
  lines.push(["Due today", money(amount_total, currency)]);
  $("bill").replaceChildren(...lines.map(([what, sum]) => el("div", {}, el("dt", {}, what), el("dd", {}, sum))));
}

function finish({ status, redirect }) {
  if (status === "requires_action") return challenge();
  $("pay").textContent = "Done";
  return leave(redirect);
}

// The button stays busy while the browser goes: nobody pays twice.
const leave = (redirect) => new Promise(() => location.assign(redirect));

const challenge = () => $("challenge").showModal();

function answer(button, succeed) {
  button.addEventListener("click", () => {
    $("challenge").close();
    busy($("pay"), $("error"), async () => finish(await send(`${path}/authenticate`, { succeed })));
  });
}

answer($("pass"), true);
answer($("refuse"), false);
$("challenge").addEventListener("cancel", (event) => {
  event.preventDefault(); // Escape is no answer to a bank; it says no
  $("refuse").click();
});

$("form").addEventListener("submit", (event) => {
  event.preventDefault();
  busy($("pay"), $("error"), async () => finish(await send(`${path}/pay`, { card: chosenCard(cards) })));
});

$("promotion").addEventListener("submit", (event) => {
  event.preventDefault();
  busy(event.submitter, $("error"), async () => show(await send(`${path}/promotion_code`, { code: $("code").value })));
});

read(path).then(
  (view) => {
    offerCards(cards, view.cards);
    show(view);
  },
  (error) => tell(error.status === 404 ? "There is no such checkout" : "This checkout can't be shown", error.message),
);
