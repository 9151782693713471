// Which chain this browser's wallet belongs to: the first one it was opened on, until the person says otherwise.

import { toHex } from "./bytes.js";

const STORAGE_NAME = "carlive-wallet-chain";

/** Whether it is the chain of before; the first one is remembered. */
export function checkChain(chain) {
  const before = localStorage.getItem(STORAGE_NAME);
  if (before === null) trustChain(chain);
  return before === null || before === formatChain(chain);
}

export function trustChain(chain) {
  localStorage.setItem(STORAGE_NAME, formatChain(chain));
}

function formatChain({ chainId, network, genesisHash }) {
  return JSON.stringify({ chainId, network, genesisHash: toHex(genesisHash) });
}
