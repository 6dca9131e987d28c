/** The beginning of a network: its record in a store that holds none yet. */

import { AppError, ERROR_CODES } from '../base/errors.js'
import { networkPrefix6 } from '../control/addresses.js'
import { DNS_LABEL } from '../net/dns-label.js'
import { formatPrefix, type Prefix } from '../net/prefix.js'
import type { RegistryOptions } from './registry.js'
import type { NetworkRecord } from './store.js'

export interface NetworkRequest {
  readonly name: string
  readonly needsApproval: boolean
  readonly needsConsent: boolean
  /** IPv4 addresses of its nodes. */
  readonly range: Prefix
}

/** Makes the network of a new store. Throws AppError for a name that cannot be part of a DNS name. */
export function createNetwork(options: RegistryOptions, request: NetworkRequest): NetworkRecord {
  const { name, needsApproval, needsConsent, range } = request
  requireNetworkName(name)
  const random = options.random(5)
  const network: NetworkRecord = {
    name,
    prefix4: formatPrefix(range),
    prefix6: formatPrefix(networkPrefix6(random)),
    needsApproval,
    needsConsent,
  }
  options.store.transaction(() => {
    options.store.setNetwork(network)
    options.store.appendAudit({
      atMs: options.wallNowMs(),
      event: 'network.created',
      subject: '',
      detail: name,
    })
  })
  return network
}

/** Throws AppError. */
export function requireNetworkName(name: string): void {
  if (DNS_LABEL.test(name)) return
  throw new AppError(ERROR_CODES.usage, `"${name}" cannot be the name of a network`, {
    hint: 'use up to 63 lower case letters, digits and dashes',
  })
}
