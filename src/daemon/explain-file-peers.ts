/** What there is to say of the way to a peer of the file: plain WireGuard looks for none. Pure. */

import { formatEndpoint } from '../net/endpoint.js'
import type { IpAddress } from '../net/ip.js'
import type { PeerSnapshot } from '../wireguard/configuration.js'
import { formatKeyBase64 } from '../wireguard/keys.js'
import type { WhyReport } from './local-api-schema.js'

const PLAIN = 'a peer of the file is reached at its endpoint alone: no other way is looked for'
const UNKNOWN = 'it has no endpoint in the file, and has not connected yet'

/** `names`: by base64 public key. `faultOf`: what is wrong with the way to an endpoint, in words. */
export function explainFilePeers(
  peers: readonly PeerSnapshot[],
  names: ReadonlyMap<string, string>,
  faultOf: (address: IpAddress) => string | undefined,
): WhyReport[] {
  return peers.map(({ publicKey, endpoint }) => {
    const key = formatKeyBase64(publicKey)
    const fault = endpoint && faultOf(endpoint.address)
    return {
      node: names.get(key) ?? key,
      kind: 'direct',
      endpoint: endpoint === undefined ? 'not known' : formatEndpoint(endpoint),
      rttMs: null,
      relayRttMs: null,
      code: fault === undefined ? 'PLAIN' : 'LEADS_INTO_TUNNEL',
      reason: fault ?? (endpoint === undefined ? UNKNOWN : PLAIN),
      help: '',
      notes: [],
      ownMapping: 'unknown',
      peerMapping: 'unknown',
      ownCandidates: [],
      peerCandidates: [],
      probes: 0,
      searchMs: null,
      events: [],
    }
  })
}
