// Orders: charges for an order. Its retry has the mistake that this capture is about.
const { ROOT_CONTEXT, context, trace } = require('@opentelemetry/api');
const express = require('express');

const charge = () => fetch(`${process.env.PAYMENTS}/charges`, { method: 'POST' }).then((answer) => answer.json());

const app = express();

app.post('/orders', async (_request, response) => {
  response.json({ order: 17, charge: await charge() });
});

app.post('/orders/:order/retry', async (request, response) => {
  // Meant to leave the caller's deadline behind, and leaves its baggage behind as well: payments is called in the same
  // trace, by nobody.
  const fresh = trace.setSpan(ROOT_CONTEXT, trace.getActiveSpan());
  response.json({ order: request.params.order, charge: await context.with(fresh, charge) });
});

app.listen(process.env.PORT, '127.0.0.1');
