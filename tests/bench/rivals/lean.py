# pyright: basic, reportMissingImports=false
"""The same handler, lean: the SDK checks the signature only, and `json.loads` parses."""

import json
import os

import stripe
from fastapi import FastAPI, HTTPException, Request
from fastapi.concurrency import run_in_threadpool
from handwritten_store import keep

SECRET = os.environ["STRIPE_WEBHOOK_SECRET"]
app = FastAPI()


@app.post("/webhooks/stripe")
async def receive(request: Request) -> dict[str, bool]:
    body = (await request.body()).decode()
    try:
        stripe.WebhookSignature.verify_header(body, request.headers.get("stripe-signature", ""), SECRET, 300)
        event = json.loads(body)
    except (ValueError, stripe.SignatureVerificationError) as error:
        raise HTTPException(400) from error
    if event["type"].startswith("customer.subscription."):
        await run_in_threadpool(keep, event["id"], event["type"], event["created"], event["data"]["object"])
    return {"received": True}
