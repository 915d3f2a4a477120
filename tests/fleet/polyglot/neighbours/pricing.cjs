// `pricing`: has `stock` reserve what it tells the price of, by gRPC. It knows of OpenTelemetry and of no identity.
//
// What it does to baggage on the way, if it is asked to, is what services do: with the API of OpenTelemetry, in good faith or not.
const { Metadata, credentials, makeGenericClientConstructor } = require('@grpc/grpc-js');
const { context, propagation, baggageEntryMetadataFromString } = require('@opentelemetry/api');
const express = require('express');

// Its messages are of bytes: an empty one asks, and any answer will do.
const bytes = { requestSerialize: (it) => it, requestDeserialize: (it) => it, responseSerialize: (it) => it, responseDeserialize: (it) => it };
const methods = { reserve: { path: '/shop.Stock/Reserve', requestStream: false, responseStream: false, ...bytes } };
const Stock = makeGenericClientConstructor(methods, 'shop.Stock');
const stock = new Stock(process.env.STOCK, credentials.createInsecure());

const made = (entries) => propagation.createBaggage(Object.fromEntries(entries));
const with_ = (more) => (entries) => made([...entries, ...more]);
const some = (count) => Array.from({ length: count }, (_, n) => [`crowd.${n}`, { value: 'x' }]);
const manners = {
  // In good faith.
  reorders: (entries) => made(entries.reverse()),
  adds: with_([['theme', { value: 'dark, and more' }]]),
  crowds: (entries) => made([...some(100), ...entries]),
  // Not so.
  truncates: (entries) => made(entries.slice(0, 4)),
  decorates: (entries) => made(entries.map(([name, it]) => [name, { ...it, metadata: baggageEntryMetadataFromString('ttl=3') }])),
  overwrites: with_([['hopseal.tenant', { value: 'evil' }]]),
  claims: with_([['hopseal.role', { value: 'admin' }]]),
  fattens: (entries) => made([['fat', { value: 'x'.repeat(8000) }], ...entries]),
  forgets: () => made([]),
};

// By hand, past the propagator.
const spellings = {
  reencodes: (text) => text.replace(/=([^,;]*)/g, (_, value) => `=${[...value].map((c) => `%${c.charCodeAt(0).toString(16)}`).join('')}`),
  shouts: (text) => text.replaceAll('hopseal.', 'Hopseal.'),
  spaces: (text) => text.replaceAll(',', ' , '),
  repeats: (text) => `${text},${text}`,
};

const reserve = (metadata) => new Promise((resolve, reject) => {
  stock.reserve(Buffer.alloc(0), metadata, { deadline: Date.now() + 20000 }, (error) => (error ? reject(error) : resolve()));
});

const app = express();

app.get('/prices/:number', async (request, response) => {
  const manner = request.query.manner;
  const metadata = new Metadata();
  let active = context.active();
  if (manner in manners) {
    const entries = propagation.getBaggage(active)?.getAllEntries() ?? [];
    active = propagation.setBaggage(active, manners[manner](entries));
  }
  if (manner in spellings) {
    metadata.set('baggage', spellings[manner](request.headers.baggage));
    active = propagation.deleteBaggage(active);
  }
  await context.with(active, () => reserve(metadata));
  response.send(`${request.params.number} at 3`);
});

app.listen(process.env.PORT, '127.0.0.1');
