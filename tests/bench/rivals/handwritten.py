# pyright: basic, reportMissingImports=false
"""The handler of Stripe's own guide: `construct_event`, then an upsert, on FastAPI."""

import os

import stripe
from fastapi import FastAPI, HTTPException, Request
from fastapi.concurrency import run_in_threadpool
from handwritten_store import keep

SECRET = os.environ["STRIPE_WEBHOOK_SECRET"]
app = FastAPI()


@app.post("/webhooks/stripe")
async def receive(request: Request) -> dict[str, bool]:
    body = await request.body()
    try:
        event = stripe.Webhook.construct_event(body, request.headers.get("stripe-signature", ""), SECRET)
    except (ValueError, stripe.SignatureVerificationError) as error:
        raise HTTPException(400) from error
    if event.type.startswith("customer.subscription."):
        subscription = event.data.object.to_dict()
        await run_in_threadpool(keep, event.id, event.type, event.created, subscription)
    return {"received": True}
