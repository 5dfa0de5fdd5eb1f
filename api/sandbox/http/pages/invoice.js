// The hosted invoice: what is owed, and a card to pay it with.

import { $, busy, chosenCard, day, el, money, offerCards, pageId, read, send, tell } from "./common.js";

const path = `/_sandbox/invoice/${pageId()}`;
const cards = $("cards");
const CLOSED = {
  paid: ["Paid", "Thank you. Nothing more is owed."],
  void: ["Void", "This invoice was taken back. Nothing is owed."],
  uncollectible: ["Given up", "It was marked uncollectible, and may still be paid."],
  draft: ["Not yet sent", "It is still a draft; it is sent within the hour."],
};

function show(invoice) {
  const { currency } = invoice;
  $("title").textContent = `Invoice ${invoice.number ?? invoice.id}`;
  $("figure").textContent = money(invoice.amount_remaining || invoice.total, currency);
  $("terms").textContent = `Issued on ${day(invoice.created)}`;
  const lines = invoice.lines.data.map((line) => [line.description ?? "Subscription", money(line.amount, currency)]);
  lines.push(["Paid", money(invoice.amount_paid, currency)], ["Still due", money(invoice.amount_remaining, currency)]);
  $("bill").replaceChildren(...lines.map(([what, sum]) => el("div", {}, el("dt", {}, what), el("dd", {}, sum))));
  const payable = invoice.status === "open" || invoice.status === "uncollectible";
  $("form").hidden = !payable;
  $("pay").textContent = `Pay ${money(invoice.amount_remaining, currency)}`;
  $("notice").hidden = payable;
  if (!payable) tell(...(CLOSED[invoice.status] ?? [invoice.status, ""]));
}

$("form").addEventListener("submit", (event) => {
  event.preventDefault();
  busy($("pay"), $("error"), async () => {
    await send(`${path}/pay`, { card: chosenCard(cards) });
    show((await read(path)).invoice);
  });
});

// An invoice knows no way back; the page that led here does.
if (document.referrer) Object.assign($("back"), { href: document.referrer, hidden: false });

read(path).then(
  (view) => {
    offerCards(cards, view.cards);
    show(view.invoice);
  },
  (error) => tell(error.status === 404 ? "There is no such invoice" : "This invoice can't be shown", error.message),
);
