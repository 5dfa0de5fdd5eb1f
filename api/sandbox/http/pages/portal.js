// The billing portal: a list of what the customer has, and a dialog for each thing they can do.

import { $, busy, chosenCard, day, el, money, offerCards, pageId, read, send, tell } from "./common.js";

const path = `/_sandbox/portal/${pageId()}`;
const ENDED = ["canceled", "incomplete_expired"];
let view = null;

// -- what is shown ---------------------------------------------------------------------------------

function show() {
  if (view.return_url) Object.assign($("back"), { href: view.return_url, hidden: false });
  $("clock").textContent = `Today is ${day(view.now)} here.`;
  $("sections").replaceChildren(
    section("Subscription", ...(view.subscriptions.length ? view.subscriptions.map(subscriptionRow) : [soft("None.")])),
    section("Payment method", cardRow()),
    section("Invoices", ...(view.invoices.length ? view.invoices.map(invoiceRow) : [soft("None yet.")])),
  );
}

const soft = (words) => el("p", { className: "soft" }, words);

const section = (title, ...rows) => el("section", { className: "group" }, el("h2", {}, title), ...rows);

function row(title, words, status, ...buttons) {
  const badge = status ? el("span", { className: "badge" }, status.replaceAll("_", " ")) : "";
  if (badge) badge.dataset.status = status;
  return el("div", { className: "item" }, el("div", {}, el("b", {}, title), " ", badge, soft(words)), el("div", { className: "buttons" }, ...buttons));
}

function action(label, act) {
  const button = el("button", { type: "button" }, label);
  button.addEventListener("click", () => act());
  return button;
}

function subscriptionRow(sub) {
  const { status } = sub;
  const { price, quantity, current_period_end: end } = sub.items.data[0];
  const sum = `${money(price.unit_amount * quantity, price.currency)} per ${price.recurring.interval}`;
  const title = (sub.product_name ?? price.id) + (quantity > 1 ? ` × ${quantity}` : "");
  const buttons = [];
  if (!ENDED.includes(status)) {
    if (status !== "paused") buttons.push(action("Change plan", () => changePlan(sub)));
    if (["active", "past_due", "unpaid"].includes(status)) buttons.push(action("Pause", () => pause(sub)));
    if (status === "paused") buttons.push(action("Resume", () => at("resume", { subscription: sub.id }, "Resumed.")));
    if (sub.cancel_at) buttons.push(action("Don’t cancel", () => at("renew", { subscription: sub.id }, "It goes on.")));
    else buttons.push(action("Cancel", () => cancel(sub)));
  }
  return row(title, `${sum} · ${fate(sub, end)}`, status, ...buttons);
}

function fate({ status, ended_at, canceled_at, cancel_at, trial_end }, end) {
  if (ENDED.includes(status)) return `ended ${day(ended_at ?? canceled_at)}`;
  if (cancel_at) return `ends ${day(cancel_at)}`;
  return status === "trialing" ? `free until ${day(trial_end)}` : `renews ${day(end)}`;
}

function named({ card, us_bank_account: account }) {
  if (account) return [`Bank account •••• ${account.last4}`, account.bank_name];
  const brand = card.brand[0].toUpperCase() + card.brand.slice(1);
  return [`${brand} •••• ${card.last4}`, `expires ${card.exp_month}/${card.exp_year}`];
}

function cardRow() {
  const living = view.subscriptions.find((sub) => !ENDED.includes(sub.status));
  const used = living?.default_payment_method ?? view.customer.invoice_settings.default_payment_method;
  const method = view.payment_methods.find(({ id }) => id === used);
  const [title, words] = method ? named(method) : ["No card", "Add one to keep the subscription."];
  return row(title, words, null, action(method ? "Update card" : "Add a card", updateCard));
}

function invoiceRow(invoice) {
  const buttons = [el("a", { className: "button", href: `/i/${invoice.id}` }, "View")];
  if (invoice.status === "open") {
    buttons.push(action("Pay now", () => at("pay", { invoice: invoice.id }, "Paid.")));
  }
  return row(money(invoice.total, invoice.currency), `${day(invoice.created)} · ${invoice.number ?? invoice.id}`, invoice.status, ...buttons);
}

// -- what is done ----------------------------------------------------------------------------------

const CARD_OUTCOMES = {
  paid: "The new card paid what was open.",
  nothing_due: "The card was saved.",
  authenticate: "The card was saved, but the open bill needs 3-D Secure. Choose another card to pay it here.",
};

const updateCard = () => {
  const cards = el("fieldset", { className: "cards" }, el("legend", {}, "Test cards"));
  offerCards(cards, view.cards);
  ask("Update card", [cards], "Save card", async () => {
    const { paid } = await send(`${path}/payment_method`, { card: chosenCard(cards) });
    const outcome = paid[0]?.outcome ?? "nothing_due";
    return CARD_OUTCOMES[outcome] ?? `The card was saved, but declined for the open bill (${outcome}).`;
  });
};

const cancel = (sub) => {
  const end = sub.items.data[0].current_period_end;
  const when = (value, words, checked) =>
    el("label", { className: "card" }, el("input", { type: "radio", name: "when", value, checked }), words);
  const choice = el("fieldset", { className: "cards" }, el("legend", {}, "When does it end?"));
  choice.append(when("later", `At the period’s end, ${day(end)}`, true), when("now", "Now, for good", false));
  ask("Cancel the subscription", [choice], "Cancel subscription", async () => {
    const later = choice.querySelector("input:checked").value === "later";
    await send(`${path}/cancel`, { subscription: sub.id, at_period_end: later });
    return later ? `It will end on ${day(end)}.` : "It has ended.";
  });
};

const changePlan = (sub) => {
  const item = sub.items.data[0];
  const choice = el("fieldset", { className: "cards" }, el("legend", {}, "Plans"));
  for (const { id, product_name, unit_amount, currency, recurring } of view.prices) {
    const words = `${product_name ?? id}, ${money(unit_amount, currency)} per ${recurring.interval}`;
    const radio = el("input", { type: "radio", name: "price", value: id, checked: id === item.price.id });
    choice.append(el("label", { className: "card" }, radio, words));
  }
  const count = el("input", { type: "number", id: "quantity", min: 1, max: 10_000, value: item.quantity, required: true });
  ask("Change plan", [choice, el("label", { className: "field" }, "Quantity ", count)], "Change plan", async () => {
    const price = choice.querySelector("input:checked")?.value ?? item.price.id;
    await send(`${path}/update`, { subscription: sub.id, price, quantity: count.valueAsNumber });
    return "The plan was changed.";
  });
};

const pause = (sub) =>
  ask("Pause the subscription", [soft("Nothing is billed and access ends until it is resumed.")], "Pause", async () => {
    await send(`${path}/pause`, { subscription: sub.id });
    return "It is paused.";
  });

// Opens the dialog; what `act` answers is said afterwards. `done` is where to go then, if anywhere.
let run = async () => {};
let leaveAfter = false;

function ask(title, body, label, act) {
  $("dialog-title").textContent = title;
  $("dialog-body").replaceChildren(...body);
  $("confirm").textContent = label;
  $("error").textContent = "";
  run = act;
  if (!$("dialog").open) $("dialog").showModal();
}

$("dismiss").addEventListener("click", () => $("dialog").close());
$("dialog-form").addEventListener("submit", (event) => {
  event.preventDefault();
  busy($("confirm"), $("error"), async () => {
    const words = await run();
    $("dialog").close();
    await done(words);
  });
});

// An act that needs no dialog.
async function at(what, body, words) {
  try {
    await send(`${path}/${what}`, body);
    await done(words);
  } catch (error) {
    say(error.message);
    await load();
  }
}

async function done(words) {
  say(words);
  if (leaveAfter && view.return_url) return void location.assign(view.return_url);
  return load();
}

let timer;
function say(words) {
  $("toast").textContent = words;
  $("toast").classList.add("shown");
  clearTimeout(timer);
  timer = setTimeout(() => $("toast").classList.remove("shown"), 6_000);
}

// -- opening ---------------------------------------------------------------------------------------

async function load() {
  view = await read(path);
  show();
}

// A link into one flow opens its dialog, and leads back when it is done.
function openFlow() {
  const { type, [type]: target } = view.flow ?? {};
  const sub = view.subscriptions.find(({ id }) => id === target?.subscription);
  const flows = { subscription_cancel: cancel, subscription_update: changePlan, subscription_pause: pause };
  leaveAfter = true;
  if (type === "payment_method_update") updateCard();
  else if (flows[type] && sub && !ENDED.includes(sub.status)) flows[type](sub);
  else leaveAfter = false;
}

$("dialog").addEventListener("close", () => $("error").textContent && load());

load().then(openFlow, (error) =>
  tell(error.status === 404 ? "There is no such portal session" : "The portal can't be shown", error.message),
);
