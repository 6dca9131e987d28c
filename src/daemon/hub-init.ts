/** Makes a new hub: its directory, and the network in its store. */

import { randomBytes } from 'node:crypto'
import { renameSync, rmSync } from 'node:fs'
import { AppError, ERROR_CODES } from '../base/errors.js'
import { chooseRange, overlapsWith } from '../hub/choose-range.js'
import { createNetwork, type NetworkRequest, requireNetworkName } from '../hub/create-network.js'
import { createSqliteStore } from '../hub/io/sqlite-store.js'
import type { NetworkRecord } from '../hub/store.js'
import { formatPrefix, type Prefix } from '../net/prefix.js'
import { wallNowMs } from '../platform/clock.js'
import { usedPrefixes } from '../platform/used-addresses.js'
import { nodeCrypto } from '../wireguard/crypto-node.js'
import { type HubPaths, type HubSettings, STORE_ENDS, writeHubKey, writeHubState } from './hub-state.js'

const random = (length: number): Uint8Array => new Uint8Array(randomBytes(length))

export interface InitRequest extends Omit<NetworkRequest, 'range'> {
  /** Undefined for one that this machine does not use. */
  readonly range: Prefix | undefined
}

/** Throws AppError. */
export async function initHub(
  paths: HubPaths,
  settings: HubSettings,
  request: InitRequest,
): Promise<NetworkRecord> {
  requireNetworkName(request.name)
  const range = request.range ?? freeRange()
  writeHubState(paths, settings)
  const draft = `${paths.store}.tmp`
  for (const end of STORE_ENDS) rmSync(`${draft}${end}`, { force: true })
  const network = await createStore(draft, { ...request, range })
  renameSync(draft, paths.store)
  writeHubKey(paths)
  return network
}

async function createStore(path: string, request: NetworkRequest): Promise<NetworkRecord> {
  const store = await createSqliteStore(path)
  try {
    return createNetwork({ store, crypto: nodeCrypto, random, wallNowMs }, request)
  } finally {
    store.close()
  }
}

function freeRange(): Prefix {
  const range = chooseRange(random(1)[0] as number, usedPrefixes())
  if (range !== undefined) return range
  throw new AppError(ERROR_CODES.config, 'this machine uses every range inside 100.64.0.0/10', {
    hint: 'choose a private range that no node uses, such as: --range 10.80.0.0/16',
  })
}

/** What this machine uses of `range` already. Throws PlatformError. */
export function usedOf(range: Prefix): string[] {
  return [...new Set(overlapsWith(range, usedPrefixes()).map(formatPrefix))]
}
