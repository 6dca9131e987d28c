/**
 * Asks the router by UPnP-IGD to map ports, where PCP and NAT-PMP map none. Sans-IO: datagrams and HTTP
 * requests go out, their answers come in.
 *
 * The rule between the protocols: PCP and NAT-PMP have a head start of 250 ms, in which every router that
 * speaks them answers. What is mapped by then is not asked for here; what is mapped here stays and is
 * renewed here, whatever others do. So nothing is handed over, and each gives back what it has.
 *
 * A round is a search, a description, and for each port calls until one is granted. A renewal, at half of
 * the life, is such a round too: a router that was restarted listens elsewhere.
 *
 *   waiting → searching → describing → mapping → addressing → waiting
 *
 * | errorCode (WANIPConnection:2 section 2.5.16) | then |
 * | 725 only permanent leases, 402 invalid arguments | the same for ever |
 * | 718, 729 conflict, 724 ports must be equal, 606 not authorized | another external port |
 * | others | the router's next service |
 */

import type { Endpoint } from '../net/endpoint.js'
import { equalIp, type IpAddress } from '../net/ip.js'
import type { RandomBytes } from '../wireguard/crypto.js'
import type { MappedProtocol, MapperSend } from './port-mapper.js'
import {
  addressRequest,
  type MappingService,
  mappingServices,
  mapRequest,
  type RouterAnswer,
  type RouterRequest,
  type RouterUrl,
  readExternalAddress,
  readMappingOutcome,
  searchesFor,
  tryReadLocation,
  unmapRequest,
} from './upnp.js'

const PROTOCOLS: readonly MappedProtocol[] = ['udp', 'tcp']
const HEAD_START_MS = 250
const LEASE_S = 7200
const RETRY_INTERVAL_MS: number = 10 * 60_000
/** Of a round, as MX 1 lets a router answer after up to a second. */
const SEARCH_AFTER_MS = [0, 250, 750] as const
const SEARCH_PATIENCE_MS = 2500
const RANDOM_PORTS = 2
const FIRST_RANDOM_PORT = 20_000
const RANDOM_PORT_SPAN = 40_000
const ONLY_PERMANENT: readonly number[] = [725, 402]
const CONFLICT = 718
const PORT_REFUSED: readonly number[] = [718, 729, 724, 606]

export interface UpnpMapperOptions {
  /** Both IPv4. */
  readonly gateway: IpAddress
  readonly ownAddress: IpAddress
  /** Of this machine, for all protocols. */
  readonly port: number
  /** External ones to ask for first. */
  readonly suggestedPorts: Readonly<Record<MappedProtocol, number>>
  /** It is to be mapped, and neither PCP nor NAT-PMP has done so. */
  readonly isNeeded: (protocol: MappedProtocol) => boolean
  readonly random: RandomBytes
}

export interface UpnpOutput {
  readonly sends: MapperSend[]
  /** To the router. Each has to be answered by handleAnswer. */
  readonly requests: RouterRequest[]
}

interface Held {
  readonly service: MappingService
  readonly externalPort: number
  readonly expiresMs: number
}

interface Attempt {
  readonly service: MappingService
  readonly externalPort: number
}

interface Mapping {
  readonly kind: 'mapping'
  readonly services: readonly MappingService[]
  readonly protocol: MappedProtocol
  /** The first of them is on its way. */
  readonly attempts: readonly [Attempt, ...Attempt[]]
  readonly leaseS: number
  /** Protocols after this one. */
  readonly left: readonly MappedProtocol[]
}

type State =
  | { readonly kind: 'waiting' }
  | { readonly kind: 'searching'; readonly startMs: number; readonly sent: number }
  | { readonly kind: 'describing'; readonly url: RouterUrl }
  | { readonly kind: 'addressing' }
  | Mapping

export class UpnpMapper {
  readonly #options: UpnpMapperOptions
  readonly #held = new Map<MappedProtocol, Held>()
  #state: State = { kind: 'waiting' }
  #externalAddress: IpAddress | undefined
  #nextRoundMs = Number.POSITIVE_INFINITY
  #isStopped = false

  constructor(options: UpnpMapperOptions) {
    this.#options = options
  }

  /** Undefined while nothing is mapped. */
  externalPort(protocol: MappedProtocol): number | undefined {
    return this.#held.get(protocol)?.externalPort
  }

  /** See PortMapper; known if UDP is mapped here. */
  get externalAddress(): IpAddress | undefined {
    return this.#externalAddress
  }

  start(nowMs: number): void {
    this.#nextRoundMs = nowMs + HEAD_START_MS
  }

  nextDeadlineMs(): number {
    const expiries = [...this.#held.values()].map(({ expiresMs }) => expiresMs)
    return Math.min(this.#nextStepMs(), ...expiries)
  }

  handleTimeout(nowMs: number, output: UpnpOutput): void {
    for (const [protocol, { expiresMs }] of this.#held) {
      if (nowMs >= expiresMs) this.#held.delete(protocol)
    }
    if (nowMs < this.#nextStepMs()) return
    if (this.#state.kind === 'waiting') this.#startRound(nowMs, output)
    else this.#searchOn(nowMs, output)
  }

  handleDatagram(from: Endpoint, bytes: Uint8Array, output: UpnpOutput): void {
    const { gateway } = this.#options
    if (this.#state.kind !== 'searching' || !equalIp(from.address, gateway)) return
    const url = tryReadLocation(bytes, gateway)
    if (url === undefined) return
    this.#state = { kind: 'describing', url }
    output.requests.push({ url, call: undefined })
  }

  /** Of the oldest request; undefined if there came none. */
  handleAnswer(answer: RouterAnswer | undefined, nowMs: number, output: UpnpOutput): void {
    const state = this.#state
    switch (state.kind) {
      case 'describing': {
        const text = answer?.status === 200 ? answer.text : ''
        const services = mappingServices(text, state.url, this.#options.gateway)
        this.#mapNext({ services, leaseS: LEASE_S, left: this.#missing() }, nowMs, output)
        break
      }
      case 'mapping':
        this.#handleOutcome(state, answer, nowMs, output)
        break
      case 'addressing':
        this.#externalAddress = answer && readExternalAddress(answer)
        this.#state = { kind: 'waiting' }
        break
      case 'waiting':
      case 'searching':
        break // of what was given back
    }
  }

  /** Gives all back. What is just being asked for is given back when it is answered. */
  stop(output: UpnpOutput): void {
    for (const [protocol, { service, externalPort }] of this.#held) {
      output.requests.push(unmapRequest(service, { protocol, externalPort }))
    }
    this.#held.clear()
    this.#isStopped = true
    this.#nextRoundMs = Number.POSITIVE_INFINITY
    if (this.#state.kind !== 'mapping') this.#state = { kind: 'waiting' }
  }

  // --- inside ----------------------------------------------------------------------------------

  #nextStepMs(): number {
    const state = this.#state
    switch (state.kind) {
      case 'waiting':
        return this.#nextRoundMs
      case 'searching':
        return state.startMs + (SEARCH_AFTER_MS[state.sent] ?? SEARCH_PATIENCE_MS)
      case 'describing':
      case 'mapping':
      case 'addressing':
        return Number.POSITIVE_INFINITY
    }
  }

  #missing(): MappedProtocol[] {
    return PROTOCOLS.filter((protocol) => this.#held.has(protocol) || this.#options.isNeeded(protocol))
  }

  #startRound(nowMs: number, output: UpnpOutput): void {
    this.#nextRoundMs = nowMs + RETRY_INTERVAL_MS
    if (this.#missing().length === 0) return
    this.#state = { kind: 'searching', startMs: nowMs, sent: 0 }
    this.#searchOn(nowMs, output)
  }

  #searchOn(nowMs: number, { sends }: UpnpOutput): void {
    if (this.#state.kind !== 'searching') return
    const { startMs, sent } = this.#state
    if (sent === SEARCH_AFTER_MS.length) {
      this.#endRound(nowMs)
      return
    }
    this.#state = { kind: 'searching', startMs, sent: sent + 1 }
    sends.push(...searchesFor(this.#options.gateway))
  }

  #endRound(nowMs: number): void {
    this.#state = { kind: 'waiting' }
    const isComplete = this.#missing().every((protocol) => this.#held.has(protocol))
    this.#nextRoundMs = nowMs + (isComplete ? 500 * LEASE_S : RETRY_INTERVAL_MS)
  }

  #mapNext(
    { services, leaseS, left }: Pick<Mapping, 'services' | 'leaseS' | 'left'>,
    nowMs: number,
    output: UpnpOutput,
  ): void {
    const [protocol, ...rest] = left
    const [attempt, ...others] = protocol === undefined ? [] : this.#attemptsFor(protocol, services)
    if (protocol === undefined || attempt === undefined) {
      this.#endRound(nowMs)
      this.#askAddress(output)
      return
    }
    this.#ask(
      { kind: 'mapping', services, protocol, attempts: [attempt, ...others], leaseS, left: rest },
      output,
    )
  }

  #askAddress({ requests }: UpnpOutput): void {
    const service = this.#held.get('udp')?.service
    if (service === undefined) return
    this.#state = { kind: 'addressing' }
    requests.push(addressRequest(service))
  }

  #attemptsFor(protocol: MappedProtocol, services: readonly MappingService[]): Attempt[] {
    const { port, suggestedPorts } = this.#options
    const first = this.externalPort(protocol) ?? suggestedPorts[protocol]
    const ports = new Set([first, port, ...this.#randomPorts()])
    return services.flatMap((service) => [...ports].map((externalPort) => ({ service, externalPort })))
  }

  #randomPorts(): number[] {
    const bytes = this.#options.random(2 * RANDOM_PORTS)
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length)
    return Array.from({ length: RANDOM_PORTS }, (_, i) => {
      return FIRST_RANDOM_PORT + (view.getUint16(2 * i) % RANDOM_PORT_SPAN)
    })
  }

  #ask(state: Mapping, { requests }: UpnpOutput): void {
    const { ownAddress, port } = this.#options
    const { protocol, leaseS } = state
    const [{ service, externalPort }] = state.attempts
    this.#state = state
    requests.push(mapRequest(service, { protocol, externalPort, internalPort: port, ownAddress, leaseS }))
  }

  #handleOutcome(state: Mapping, answer: RouterAnswer | undefined, nowMs: number, output: UpnpOutput): void {
    const { protocol, leaseS } = state
    const [{ service, externalPort }] = state.attempts
    const outcome = answer && readMappingOutcome(answer)
    if (this.#isStopped) {
      this.#state = { kind: 'waiting' }
      if (outcome?.kind === 'mapped') output.requests.push(unmapRequest(service, { protocol, externalPort }))
      return
    }
    switch (outcome?.kind) {
      case 'mapped': {
        const expiresMs = leaseS === 0 ? Number.POSITIVE_INFINITY : nowMs + 1000 * leaseS
        this.#held.set(protocol, { service, externalPort, expiresMs })
        this.#mapNext(state, nowMs, output)
        break
      }
      case 'refused':
        this.#askOtherwise(state, outcome.code ?? 0, nowMs, output)
        break
      case undefined:
        // Who is silent once would be silent for all that is left.
        this.#endRound(nowMs)
        break
    }
  }

  #askOtherwise(state: Mapping, code: number, nowMs: number, output: UpnpOutput): void {
    const [refused, ...others] = state.attempts
    if (state.leaseS > 0 && ONLY_PERMANENT.includes(code)) {
      this.#ask({ ...state, leaseS: 0 }, output)
      return
    }
    const held = this.#held.get(state.protocol)
    const isOwn = held?.externalPort === refused.externalPort && held.expiresMs === Number.POSITIVE_INFINITY
    if (code === CONFLICT && isOwn) {
      // It is there for ever, and is ours: another port beside it would be one more that nobody takes away.
      this.#mapNext(state, nowMs, output)
      return
    }
    const isPortRefused = PORT_REFUSED.includes(code)
    const [next, ...rest] = others.filter(({ service }) => isPortRefused || service !== refused.service)
    if (next === undefined) this.#mapNext(state, nowMs, output)
    else this.#ask({ ...state, attempts: [next, ...rest] }, output)
  }
}
