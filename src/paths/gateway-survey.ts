/**
 * Asks the router next to this machine which mapping protocols it speaks, all at once: PCP (RFC 6887),
 * NAT-PMP (RFC 6886) and UPnP-IGD (found by SSDP, upnp.ts). Sans-IO.
 * It only asks; nothing is mapped.
 *
 * | PCP ANNOUNCE, 24 bytes | version 2, opcode 0, 2 zero, lifetime 4 zero, our address 16 (v4-mapped) |
 * | its answer, 24 or more | version 2, 0x80, 0, result 1, lifetime 4, epoch 4, 12 reserved |
 * | NAT-PMP address request, 2 bytes | version 0, opcode 0 |
 * | its answer, 12 bytes | version 0, 128, result 2, epoch 4, external address 4 |
 *
 * INVARIANT: only what comes from the router itself counts: on a shared network anybody may answer SSDP.
 */

import { concatBytes } from '../base/bytes.js'
import type { Endpoint } from '../net/endpoint.js'
import { mappedAddressBytes } from '../net/endpoint-bytes.js'
import { equalIp, formatIp, type IpAddress, ipFromBytes } from '../net/ip.js'
import type { SurveySend } from './nat-survey.js'
import { MAPPING_PORT } from './port-mapper.js'
import { searchesFor, tryReadLocation } from './upnp.js'

/** RFC 6886 section 3.1: after 250 ms, then the double. */
const RESEND_AFTER_MS = [250, 750] as const
const PATIENCE_MS = 1500

export interface GatewaySurveyOptions {
  /** The router, and our address on its network; both IPv4. */
  readonly gateway: IpAddress
  readonly ownAddress: IpAddress
}

export interface GatewayReport {
  readonly pcp: boolean
  readonly natPmp: boolean
  readonly upnp: boolean
  /** As the router says by NAT-PMP; undefined if it does not say. */
  readonly external: IpAddress | undefined
}

type Protocol = 'pcp' | 'natPmp' | 'upnp'

export class GatewaySurvey {
  readonly #gateway: IpAddress
  readonly #questions: readonly (SurveySend & { readonly protocol: Protocol })[]
  readonly #spoken = new Set<Protocol>()
  #external: IpAddress | undefined
  /** Undefined before the start. */
  #startMs: number | undefined
  #resends = 0
  #isDone = false

  constructor(options: GatewaySurveyOptions) {
    const { gateway, ownAddress } = options
    this.#gateway = gateway
    const mapping = { socket: 0, to: { address: gateway, port: MAPPING_PORT, scopeId: 0 } }
    this.#questions = [
      { ...mapping, protocol: 'pcp', bytes: pcpAnnounce(ownAddress) },
      { ...mapping, protocol: 'natPmp', bytes: new Uint8Array(2) },
      ...searchesFor(gateway).map((send) => ({ ...send, socket: 0, protocol: 'upnp' as const })),
    ]
  }

  get isDone(): boolean {
    return this.#isDone
  }

  start(nowMs: number, sends: SurveySend[]): void {
    this.#startMs = nowMs
    sends.push(...this.#questions)
  }

  handleDatagram(_socket: number, from: Endpoint, bytes: Uint8Array): void {
    if (!equalIp(from.address, this.#gateway)) return
    if (from.port === MAPPING_PORT) this.#handleMappingAnswer(bytes)
    else if (tryReadLocation(bytes, this.#gateway) !== undefined) this.#spoken.add('upnp')
    if (this.#spoken.size === 3) this.#isDone = true
  }

  handleTimeout(nowMs: number, sends: SurveySend[]): void {
    if (nowMs < this.nextDeadlineMs()) return
    if (this.#resends === RESEND_AFTER_MS.length) {
      this.#isDone = true
      return
    }
    this.#resends += 1
    sends.push(...this.#questions.filter(({ protocol }) => !this.#spoken.has(protocol)))
  }

  nextDeadlineMs(): number {
    if (this.#startMs === undefined || this.#isDone) return Number.POSITIVE_INFINITY
    return this.#startMs + (RESEND_AFTER_MS[this.#resends] ?? PATIENCE_MS)
  }

  report(): GatewayReport {
    const speaks = (protocol: Protocol): boolean => this.#spoken.has(protocol)
    return {
      pcp: speaks('pcp'),
      natPmp: speaks('natPmp'),
      upnp: speaks('upnp'),
      external: this.#external,
    }
  }

  /** A router that speaks one of the two refuses the other with a result that is not 0. */
  #handleMappingAnswer(bytes: Uint8Array): void {
    const [version, opcode, third, fourth] = bytes
    if (opcode !== 0x80) return
    if (version === 2 && bytes.length >= 24 && fourth === 0) this.#spoken.add('pcp')
    if (version !== 0 || bytes.length !== 12 || third !== 0 || fourth !== 0) return
    this.#spoken.add('natPmp')
    const external = ipFromBytes(bytes.subarray(8, 12))
    if (formatIp(external) !== '0.0.0.0') this.#external = external
  }
}

function pcpAnnounce(ownAddress: IpAddress): Uint8Array {
  return concatBytes(Uint8Array.of(2, 0, 0, 0, 0, 0, 0, 0), mappedAddressBytes(ownAddress))
}
