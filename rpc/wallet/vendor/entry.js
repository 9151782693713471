// What libraries.js is built from: `npm ci --ignore-scripts && npm run build` writes the same bytes again.

export { hsalsa, xsalsa20poly1305 } from "@noble/ciphers/salsa.js";
export { blake2b } from "@noble/hashes/blake2.js";
export { scryptAsync } from "@noble/hashes/scrypt.js";
export { entropyToMnemonic, mnemonicToEntropy } from "@scure/bip39";
export { wordlist } from "@scure/bip39/wordlists/english.js";
export { encodeQR } from "qr";
