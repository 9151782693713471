// Grains as people read and write them: one IOV is 10^8 grains.

const GRAINS_PER_IOV = 100_000_000n;
const DECIMALS = 8;
const GRAINS_MAX = 2n ** 63n - 1n;

export class AmountError extends Error {}

export function formatIov(grains) {
  const value = BigInt(grains);
  const fraction = (value % GRAINS_PER_IOV).toString().padStart(DECIMALS, "0").replace(/0+$/, "");
  return `${value / GRAINS_PER_IOV}${fraction ? `.${fraction}` : ""} IOV`;
}

/** Grains, a bigint, from text such as 1.5; throws AmountError. */
export function parseIov(text) {
  const parts = /^([0-9]{1,11})(?:\.([0-9]+))?$/.exec(text.trim());
  if (parts === null) throw new AmountError("Enter the amount in IOV, such as 1.5.");
  const [, whole, fraction = ""] = parts;
  if (fraction.length > DECIMALS) throw new AmountError(`An amount has at most ${DECIMALS} decimals.`);
  const grains = BigInt(whole) * GRAINS_PER_IOV + BigInt(fraction.padEnd(DECIMALS, "0"));
  if (grains === 0n) throw new AmountError("The amount is more than nothing.");
  if (grains > GRAINS_MAX) throw new AmountError("There is not so much IOV.");
  return grains;
}
