// A real OpenID provider (oidc-provider, certified) for tests, on this machine alone.
//
//     node server.mjs            prints `ready http://127.0.0.1:PORT` and ends when its standard input does
//
// Clients are `orders` and `billing`, secret `secret`. Tokens by `client_credentials` for one of the resources
// urn:test:{rs256,es256,eddsa} are JWTs, for urn:test:opaque they are not. Also: introspection, revocation, token
// exchange (RFC 8693) with `act`, and refresh tokens that are rotated, for the user `ann` by POST /-/grant. Tokens of the
// client `bound` are bound to the certificate in the header `x-client-certificate` (RFC 8705), which a proxy would set; and
// POST /-/dpop is a client of its own, by another library: it gets a token that is bound to its key, and proves to hold that
// for `GET https://orders.example/list` (RFC 9449).
// POST /-/rotate makes new keys; the old ones stay for one more rotation.
import crypto from 'node:crypto';
import http from 'node:http';
import * as jose from 'jose';
import { Provider } from 'oidc-provider';

const EXCHANGE = 'urn:ietf:params:oauth:grant-type:token-exchange';
const ALGORITHMS = { rs256: 'RS256', es256: 'ES256', eddsa: 'EdDSA' };
const SCOPES = 'api:read api:write';

let generation = 0;
async function newKeys() {
  generation += 1;
  return Promise.all(Object.entries(ALGORITHMS).map(async ([name, alg]) => {
    const options = { extractable: true, ...(alg === 'EdDSA' ? { crv: 'Ed25519' } : {}) };
    const { privateKey } = await jose.generateKeyPair(alg, options);
    return { ...(await jose.exportJWK(privateKey)), alg, use: 'sig', kid: `${name}-${generation}` };
  }));
}

// Kept outside of the provider, which is made anew at each rotation.
const kept = new Map();
class Adapter {
  constructor(kind) { this.kind = kind; }
  at(id) { return `${this.kind}:${id}`; }
  async upsert(id, payload, seconds) {
    kept.set(this.at(id), { payload, until: seconds ? Date.now() + seconds * 1000 : Infinity });
  }
  async find(id) {
    const found = kept.get(this.at(id));
    return found && found.until > Date.now() ? found.payload : undefined;
  }
  async findByUid(uid) {
    return [...kept].find(([at, { payload }]) => at.startsWith(`${this.kind}:`) && payload.uid === uid)?.[1].payload;
  }
  async findByUserCode() { return undefined; }
  async consume(id) { const found = await this.find(id); if (found) found.consumed = Math.floor(Date.now() / 1000); }
  async destroy(id) { kept.delete(this.at(id)); }
  async revokeByGrantId(grant) {
    for (const [at, { payload }] of kept) if (payload.grantId === grant) kept.delete(at);
  }
}

function resource(id) {
  const name = id.split(':').pop();
  const alg = ALGORITHMS[name];
  return {
    scope: SCOPES, audience: id, accessTokenTTL: 300,
    ...(alg ? { accessTokenFormat: 'jwt', jwt: { sign: { alg } } } : { accessTokenFormat: 'opaque' }),
  };
}

const grants = ['client_credentials', 'refresh_token', 'authorization_code', EXCHANGE];
const client = (client_id) => ({
  client_id, client_secret: 'secret', grant_types: grants,
  redirect_uris: ['http://127.0.0.1:9/callback'], response_types: ['code'],
});

let keys = await newKeys();
let issuer;

function build() {
  const provider = new Provider(issuer, {
    adapter: Adapter,
    clients: [client('orders'), client('billing'), { ...client('bound'), tls_client_certificate_bound_access_tokens: true }],
    jwks: { keys },
    scopes: ['openid', 'offline_access', ...SCOPES.split(' ')],
    cookies: { keys: ['only for tests'] },
    findAccount: async (_, id) => ({ accountId: id, claims: async () => ({ sub: id }) }),
    extraTokenClaims: (_, token) => ({ tenant: token.accountId ? 'users' : 'services' }),
    formats: { customizers: { jwt(_, token, jwt) { if (token.act) jwt.payload.act = token.act; } } },
    enabledJWA: { idTokenSigningAlgValues: Object.values(ALGORITHMS) },
    rotateRefreshToken: true,
    features: {
      devInteractions: { enabled: false },
      clientCredentials: { enabled: true },
      introspection: { enabled: true, allowedPolicy: () => true },
      jwtIntrospection: { enabled: true },
      dPoP: { enabled: true },
      mTLS: {
        enabled: true, certificateBoundAccessTokens: true,
        getCertificate(ctx) {
          const der = ctx.get('x-client-certificate');
          return der ? new crypto.X509Certificate(Buffer.from(der, 'base64')).toString() : undefined;
        },
      },
      revocation: { enabled: true, allowedPolicy: () => true },
      resourceIndicators: {
        enabled: true, defaultResource: () => undefined, useGrantedResource: () => true,
        getResourceServerInfo: (_, id) => resource(id),
      },
    },
  });
  provider.registerGrantType(EXCHANGE, async (ctx) => {
    const { client, params } = ctx.oidc;
    const publicKeys = keys.map(({ kty, crv, x, y, n, e, kid, alg }) => ({ kty, crv, x, y, n, e, kid, alg }));
    const known = jose.createLocalJWKSet({ keys: publicKeys });
    const { payload } = await jose.jwtVerify(params.subject_token, known, { issuer });
    const token = new provider.AccessToken({ client, accountId: payload.sub, scope: params.scope, gty: 'token_exchange' });
    token.resourceServer = new provider.ResourceServer(params.resource, resource(params.resource));
    token.act = { sub: client.clientId, ...(payload.act ? { act: payload.act } : {}) };
    ctx.oidc.entity('AccessToken', token);
    ctx.body = {
      access_token: await token.save(), token_type: 'Bearer', expires_in: token.expiration, scope: token.scope,
      issued_token_type: 'urn:ietf:params:oauth:token-type:access_token',
    };
  }, ['subject_token', 'subject_token_type', 'actor_token', 'actor_token_type', 'audience', 'scope', 'resource',
    'requested_token_type']);
  return provider;
}

// A refresh token as `ann` would get it by signing in.
async function grant(provider) {
  const found = await provider.Client.find('orders');
  const made = new provider.Grant({ clientId: 'orders', accountId: 'ann' });
  made.addOIDCScope('openid offline_access');
  made.addResourceScope('urn:test:es256', SCOPES);
  const grantId = await made.save();
  const token = new provider.RefreshToken({
    accountId: 'ann', client: found, grantId, gty: 'authorization_code', scope: `openid offline_access ${SCOPES}`,
    resource: 'urn:test:es256', rotations: 0, expiresWithSession: false,
  });
  return token.save();
}

// A token of `orders` that is bound to a new key, and proofs by that key: two good ones, and one that is of no token.
async function proven() {
  const { publicKey, privateKey } = await jose.generateKeyPair('ES256');
  const jwk = await jose.exportJWK(publicKey);
  const proof = (claims) => new jose.SignJWT({ jti: crypto.randomUUID(), ...claims })
    .setProtectedHeader({ typ: 'dpop+jwt', alg: 'ES256', jwk }).setIssuedAt().sign(privateKey);
  const answer = await fetch(`${issuer}/token`, {
    method: 'POST',
    headers: {
      authorization: `Basic ${Buffer.from('orders:secret').toString('base64')}`,
      dpop: await proof({ htm: 'POST', htu: `${issuer}/token` }),
    },
    body: new URLSearchParams({ grant_type: 'client_credentials', scope: 'api:read', resource: 'urn:test:es256' }),
  });
  const { access_token: token, token_type: type } = await answer.json();
  const request = { htm: 'GET', htu: 'https://orders.example/list' };
  const ath = crypto.createHash('sha256').update(token).digest('base64url');
  return JSON.stringify({
    token, type, proofs: [await proof({ ...request, ath }), await proof({ ...request, ath })], unbound: await proof(request),
  });
}

let provider;
let callback;
const server = http.createServer(async (request, response) => {
  if (request.method === 'POST' && request.url === '/-/rotate') {
    keys = [...await newKeys(), ...keys.slice(0, 3)];
    provider = build();
    callback = provider.callback();
    response.end(keys.map(({ kid }) => kid).join(' '));
  } else if (request.method === 'POST' && request.url === '/-/grant') {
    response.end(await grant(provider));
  } else if (request.method === 'POST' && request.url === '/-/dpop') {
    response.end(await proven());
  } else {
    callback(request, response);
  }
});
server.listen(0, '127.0.0.1', () => {
  issuer = `http://127.0.0.1:${server.address().port}`;
  provider = build();
  callback = provider.callback();
  console.log(`ready ${issuer}`);
});
// Whoever started us and is gone has closed it: nothing is left behind.
process.stdin.on('end', () => process.exit()).resume();
