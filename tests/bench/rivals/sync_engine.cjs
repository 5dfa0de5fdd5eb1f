// stripe-sync-engine behind Node's own HTTP server, as its README has it: node sync_engine.cjs PORT FOLDER
// FOLDER is where npm installed it; DATABASE is PostgreSQL's address.  Related objects are not fetched: one call less.
"use strict";
const http = require("node:http");
const { createRequire } = require("node:module");
const { StripeSync, runMigrations } = createRequire(`${process.argv[3]}/`)("@supabase/stripe-sync-engine");

const quiet = { info() {}, warn() {}, debug() {}, error: console.error };

async function main() {
  await runMigrations({ databaseUrl: process.env.DATABASE, schema: "stripe", logger: quiet });
  const sync = new StripeSync({
    poolConfig: { connectionString: process.env.DATABASE, max: 10 },
    stripeSecretKey: process.env.STRIPE_SECRET_KEY,
    stripeWebhookSecret: process.env.STRIPE_WEBHOOK_SECRET,
    backfillRelatedEntities: false,
    autoExpandLists: false,
  });
  const server = http.createServer((request, response) => {
    const pieces = [];
    request.on("data", (piece) => pieces.push(piece));
    request.on("end", async () => {
      let status = 200;
      try {
        await sync.processWebhook(Buffer.concat(pieces), request.headers["stripe-signature"]);
      } catch (error) {
        console.error(error);
        status = 400;
      }
      const body = JSON.stringify({ received: status === 200 });
      response.writeHead(status, { "content-type": "application/json", "content-length": body.length });
      response.end(body);
    });
  });
  server.keepAliveTimeout = 600_000;
  server.listen(Number(process.argv[2]), "127.0.0.1");
}

main();
