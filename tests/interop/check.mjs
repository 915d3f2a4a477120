// Seals of src/identity/wire.md checked by `jose`: one line of JSON for each test vector with a seal of ours in it.
//
//     node check.mjs VECTORS
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { createLocalJWKSet, errors, flattenedVerify } from "jose";

const { cases, keys } = JSON.parse(readFileSync(join(process.argv[2], "seal.json"), "utf8"));
const known = createLocalJWKSet(keys);

for (const { name, trust_domain, trace_id, members, seal, verdict } of cases) {
  // What is seen without the signature, and when it ended, is for `check.py`.
  if (!["valid", "signature", "unknown_key"].includes(verdict)) continue;
  // A seal by a shared secret is for who has it.
  if (JSON.parse(Buffer.from(seal.split("..")[0], "base64url")).alg !== "EdDSA") continue;
  const lines = ["hopseal-seal-1", trust_domain, trace_id];
  for (const member of Object.keys(members).sort()) lines.push(`${member}=${members[member]}`);
  const payload = Buffer.from(lines.map((line) => `${line}\n`).join("")).toString("base64url");
  const [header, signature] = seal.split("..");
  let found = "valid";
  try {
    await flattenedVerify({ protected: header, payload, signature }, known, { algorithms: ["EdDSA"] });
  } catch (error) {
    if (error instanceof errors.JWSSignatureVerificationFailed) found = "signature";
    else if (error instanceof errors.JWKSNoMatchingKey) found = "unknown_key";
    else throw error;
  }
  console.log(JSON.stringify(["seal", name, found, verdict]));
}
