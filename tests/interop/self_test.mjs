// Everything this wallet does, against the vector files: what must come out, and what must be refused.

import { readFileSync } from "node:fs";
import { join } from "node:path";

import { RefusedError, areEqual, decode, encode, fromHex, toHex } from "./codec.mjs";
import {
  PURPOSES,
  buildPolicyBytes,
  buildSigningBytes,
  computeKeyAddress,
  computeModuleAddress,
  computePolicyAddress,
  computePublicKey,
  computeSigningDomain,
  formatAddress,
  isPublicKeyGood,
  isSignatureGood,
  parseAddress,
} from "./keys.mjs";
import {
  checkCertificate,
  checkCommittee,
  checkGenesisHeader,
  checkStateProof,
  computeLeafHash,
  computeListRoot,
  computeStateRoot,
  isListProofGood,
  readCommittee,
  readHeader,
} from "./proofs.mjs";
import {
  FEE_PAYER,
  SENDER,
  assemble,
  authorise,
  computeEnvelopeHash,
  computeIntrinsicGas,
  computeTransactionId,
  encodeBody,
  readCall,
  readTransaction,
} from "./transactions.mjs";

const toEntries = (pairs) => pairs.map(([key, value]) => [fromHex(key), fromHex(value)]);

/** Run all checks; the answer counts them and lists what failed. */
export function runSelfTest(directory) {
  const report = { checks: 0, failures: [] };
  const read = (name) => JSON.parse(readFileSync(join(directory, `carlive_${name}.json`), "utf8"));
  checkAddresses(report, read("addresses"));
  checkCodec(report, read("codec"));
  checkTransactions(report, read("transactions"));
  checkStateProofs(report, read("state_proofs"));
  checkCertificates(report, read("certificates"), read("state_proofs"), read("transactions"));
  return report;
}

function expectEqual(report, what, computed, wanted) {
  report.checks += 1;
  const text = computed instanceof Uint8Array ? toHex(computed) : computed;
  if (text !== wanted) report.failures.push(`${what}: ${text} instead of ${wanted}`);
}

function expectRefused(report, what, attempt) {
  report.checks += 1;
  try {
    attempt();
  } catch (error) {
    if (!(error instanceof RefusedError)) report.failures.push(`${what}: ${error.stack}`);
    return;
  }
  report.failures.push(`${what}: accepted`);
}

function expectAccepted(report, what, attempt) {
  report.checks += 1;
  try {
    return attempt();
  } catch (error) {
    report.failures.push(`${what}: ${error.message}`);
    return undefined;
  }
}

function fromNotation(noted) {
  if (noted === null || typeof noted === "boolean") return noted;
  if (Array.isArray(noted)) return noted.map(fromNotation);
  if (noted.int !== undefined) return BigInt(noted.int);
  return noted.text !== undefined ? noted.text : fromHex(noted.bytes);
}

function checkAddresses(report, vectors) {
  for (const { key_type: keyType, secret, public_key: publicKey, address, texts } of vectors.keys) {
    expectEqual(report, "public key", computePublicKey(keyType, fromHex(secret)), publicKey);
    expectEqual(report, "public key is good", isPublicKeyGood(keyType, fromHex(publicKey)), true);
    expectEqual(report, "address", computeKeyAddress(keyType, fromHex(publicKey)), address);
    for (const [network, text] of Object.entries(texts)) {
      expectEqual(report, "address text", formatAddress(fromHex(address), network), text);
      expectEqual(report, "address of text", parseAddress(text, network), address);
      expectEqual(report, "address of upper case", parseAddress(text.toUpperCase(), network), address);
    }
  }
  for (const { key_type: keyType, public_key: publicKey, why } of vectors.refused_keys) {
    expectEqual(report, `key: ${why}`, isPublicKeyGood(keyType, fromHex(publicKey)), false);
  }
  for (const { name, address } of vectors.module_accounts) {
    expectEqual(report, `module ${name}`, computeModuleAddress(name), address);
  }
  for (const { threshold, keys, policy_bytes: policyBytes, address, encoded } of vectors.policies) {
    const read = keys.map((key) => ({
      keyType: key.key_type,
      publicKey: fromHex(key.public_key),
      weight: key.weight,
    }));
    const plain = [read.map(({ keyType, publicKey, weight }) => [keyType, publicKey, weight]), threshold];
    expectEqual(report, "policy bytes", buildPolicyBytes(threshold, read), policyBytes);
    expectEqual(report, "policy address", computePolicyAddress(fromHex(policyBytes)), address);
    expectEqual(report, "encoded policy", encode(plain), encoded);
  }
  for (const { text, why } of vectors.refused_texts) {
    expectRefused(report, `address text: ${why}`, () => parseAddress(text, "devnet"));
  }
}

function checkCodec(report, vectors) {
  for (const { value, encoded } of [...vectors.values, ...vectors.receipts]) {
    expectEqual(report, "encoding", encode(fromNotation(value)), encoded);
    expectEqual(report, "encoding of what was decoded", encode(decode(fromHex(encoded))), encoded);
  }
  for (const { encoded, why } of vectors.refused_values) {
    expectRefused(report, `value: ${why}`, () => readCall(["m", "c", decode(fromHex(encoded))]));
  }
  for (const { encoded, why } of vectors.refused) {
    expectRefused(report, `call: ${why}`, () => readCall(decode(fromHex(encoded))));
  }
}

function checkTransactions(report, vectors) {
  const domain = computeSigningDomain(vectors.chain_id, fromHex(vectors.genesis_hash));
  expectEqual(report, "signing domain", domain, vectors.signing_domain);
  for (const vector of vectors.transactions) checkTransaction(report, vector, domain);
  for (const { raw, why } of vectors.refused) {
    expectRefused(report, `transaction: ${why}`, () => readTransaction(fromHex(raw)));
  }
  for (const { key_type: keyType, public_key: publicKey, message, signature, why } of vectors.bad_signatures) {
    const isGood = isSignatureGood(keyType, fromHex(publicKey), fromHex(message), fromHex(signature));
    expectEqual(report, `signature: ${why}`, isGood, false);
  }
  for (const { size, root, paths } of vectors.lists) {
    const leafHashes = vectors.transactions.slice(0, size).map(({ raw }) => computeLeafHash(fromHex(raw)));
    expectEqual(report, `list of ${size}`, computeListRoot(leafHashes), root);
    paths.forEach((path, index) => {
      const proof = { index, size, path: path.map(fromHex) };
      expectEqual(report, "list proof", isListProofGood(proof, leafHashes[index], fromHex(root)), true);
      const isMoved = isListProofGood({ ...proof, index: (index + 1) % size }, leafHashes[index], fromHex(root));
      expectEqual(report, "list proof at another index", isMoved, size === 1);
    });
  }
}

function checkTransaction(report, vector, domain) {
  const { body } = vector;
  const bodyBytes = encodeBody({
    chainId: body.chain_id,
    sender: fromHex(body.sender),
    ordering: body.ordering.salt === undefined ? body.ordering.sequence : fromHex(body.ordering.salt),
    validUntil: body.valid_until,
    gasLimit: body.gas_limit,
    feeMaxGrains: BigInt(body.fee_max_grains),
    feePayer: body.fee_payer === null ? null : fromHex(body.fee_payer),
    calls: body.calls.map(([module, call, args]) => [module, call, fromNotation(args)]),
    memo: body.memo,
  });
  const authoriseAll = (role, secrets) =>
    secrets.map((key) => authorise(role, { keyType: key.key_type, secret: fromHex(key.secret) }, bodyBytes, domain));
  const authorisations = [
    ...authoriseAll(SENDER, vector.sender_secrets),
    ...authoriseAll(FEE_PAYER, vector.fee_payer_secrets),
  ];
  const raw = assemble(bodyBytes, authorisations);
  const signingBytes = buildSigningBytes(PURPOSES.transaction, domain, bodyBytes);
  expectEqual(report, `${vector.name}: body`, bodyBytes, vector.body_bytes);
  expectEqual(report, `${vector.name}: signing bytes`, signingBytes, vector.signing_bytes);
  expectEqual(report, `${vector.name}: raw`, raw, vector.raw);
  expectEqual(report, `${vector.name}: id`, computeTransactionId(bodyBytes), vector.id);
  expectEqual(report, `${vector.name}: envelope hash`, computeEnvelopeHash(raw), vector.envelope_hash);
  const gas = computeIntrinsicGas(raw, authorisations, vector.is_unordered);
  expectEqual(report, `${vector.name}: gas`, gas, vector.intrinsic_gas);
  const read = expectAccepted(report, `${vector.name}: reading`, () => readTransaction(raw));
  for (const [, keyType, key, signature] of read?.authorisations ?? []) {
    expectEqual(report, `${vector.name}: signature`, isSignatureGood(keyType, key, signingBytes, signature), true);
  }
}

function checkStateProofs(report, vectors) {
  expectEqual(report, "state root", computeStateRoot(toEntries(vectors.state)), vectors.state_root);
  for (const { name, entries, root } of vectors.small_states) {
    expectEqual(report, `root of ${name}`, computeStateRoot(toEntries(entries)), root);
  }
  const root = fromHex(vectors.state_root);
  for (const { name, key, value, encoded } of vectors.proofs) {
    const proven = expectAccepted(report, name, () => checkStateProof(fromHex(encoded), fromHex(key), root));
    expectEqual(report, `${name}: value`, proven === null ? null : toHex(proven ?? []), value);
    for (const flipped of listFlipped(fromHex(encoded), 1)) {
      expectRefused(report, `${name}: a flipped bit`, () => checkStateProof(flipped, fromHex(key), root));
    }
  }
  for (const { encoded, why } of vectors.refused) {
    const proof = fromHex(encoded);
    expectRefused(report, `proof: ${why}`, () => checkStateProof(proof, decode(proof)[0], root));
  }
}

function checkCertificates(report, vectors, stateProofs, transactions) {
  const [zero, first, second] = vectors.headers.map(({ encoded }) => readHeader(fromHex(encoded)));
  vectors.headers.forEach(({ hash }, height) => {
    expectEqual(report, `hash of header ${height}`, [zero, first, second][height].hash, hash);
  });
  expectEqual(report, "root of the first state", computeStateRoot(toEntries(vectors.first_state)), toHex(zero.state_root));
  expectEqual(report, "genesis header", checkGenesisHeader(fromHex(vectors.headers[0].encoded), zero.hash).hash, toHex(zero.hash));
  expectRefused(report, "another genesis hash", () => checkGenesisHeader(fromHex(vectors.headers[0].encoded), first.hash));
  const committee = readCommittee(fromHex(vectors.committee.encoded));
  expectEqual(report, "committee hash", committee.hash, vectors.committee.hash);
  expectEqual(report, "the genesis committee", areEqual(zero.committee_hash, committee.hash), true);
  expectRefused(report, "another committee", () => checkCommittee(fromHex(vectors.committee.encoded), zero.hash));
  const domain = computeSigningDomain(zero.chain_id, zero.hash);
  expectEqual(report, "signing domain", domain, vectors.signing_domain);
  expectEqual(report, "proven root", second.state_root, stateProofs.state_root);
  const leaves = transactions.transactions.map(({ raw }) => computeLeafHash(fromHex(raw)));
  expectEqual(report, "transactions root", computeListRoot(leaves), toHex(first.transactions_root));
  for (const { name, encoded } of vectors.certificates) {
    const certificate = fromHex(encoded);
    expectAccepted(report, `certificate: ${name}`, () => checkCertificate(certificate, second, committee, domain));
    for (const flipped of listFlipped(certificate, 29)) {
      expectRefused(report, `${name}: a flipped bit`, () => checkCertificate(flipped, second, committee, domain));
    }
  }
  for (const { encoded, why } of vectors.refused) {
    expectRefused(report, `certificate: ${why}`, () => checkCertificate(fromHex(encoded), second, committee, domain));
  }
}

/** The bytes with one bit of every so-many-th byte flipped, another bit each time. */
export function listFlipped(bytes, stepBytes) {
  const flipped = [];
  for (let index = 0; index < bytes.length; index += stepBytes) {
    const copy = Uint8Array.from(bytes);
    copy[index] ^= 1 << (index % 8);
    flipped.push(copy);
  }
  return flipped;
}
