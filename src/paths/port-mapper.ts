/**
 * Asks the router to map one port of UDP or TCP to this machine: by PCP (RFC 6887 section 11) and NAT-PMP
 * (RFC 6886 section 3.3) at once. Sans-IO. What is mapped is renewed at half of its life, and given back at
 * the end.
 *
 * | PCP MAP request, 60 bytes | version 2, opcode 1, 2 zero, lifetime 4, our address 16 · nonce 12, protocol 1,
 *   3 zero, internal port 2, suggested external port 2 and address 16 |
 * | its answer, 60 or more | version 2, 0x81, 0, result 1, lifetime 4, epoch 4, 12 zero · as the request, assigned |
 * | NAT-PMP map request, 12 bytes | version 0, opcode 1 (UDP) or 2 (TCP), 2 zero, internal port 2, external
 *   port 2, lifetime 4 |
 * | its answer, 16 bytes | version 0, 128 + opcode, result 2, epoch 4, internal port 2, external port 2, lifetime 4 |
 *
 * | NAT-PMP address request, 2 bytes | version 0, opcode 0 (RFC 6886 section 3.2) |
 * | its answer, 12 bytes | version 0, 128, result 2, epoch 4, external address 4 |
 *
 * An answer counts only from the router, for our port and protocol, and with our nonce where there is one.
 */

import { concatBytes, equalBytes } from '../base/bytes.js'
import type { Endpoint } from '../net/endpoint.js'
import { mappedAddressBytes } from '../net/endpoint-bytes.js'
import { equalIp, type IpAddress, ipFromBytes } from '../net/ip.js'

/** Of PCP and NAT-PMP: RFC 6887 section 8.1, RFC 6886 section 3. */
export const MAPPING_PORT = 5351
/** Of IP, in PCP; and NAT-PMP's opcodes. */
const PROTOCOLS = { udp: { number: 17, opcode: 1 }, tcp: { number: 6, opcode: 2 } } as const
/** Added to an opcode in its answer: RFC 6886 section 3.3. */
const NAT_PMP_ANSWER = 128
const PCP_BYTES = 60
const NONCE_BYTES = 12
const NAT_PMP_ANSWER_BYTES = 16
const NAT_PMP_ADDRESS_ANSWER_BYTES = 12
/** In a PCP answer. */
const ASSIGNED_ADDRESS_OFFSET = 44
/** RFC 6886 section 3.3 recommends two hours. */
const LIFETIME_S = 7200
/** RFC 6886 section 3.1: after 250 ms, then the double each time. A busy router may be late, or refuse at first. */
const RESEND_AFTER_MS = [0, 250, 750, 1750, 3750, 7750, 15_750, 31_750, 63_750] as const
/** However often the router is doubted, it is asked no sooner than that. */
const RENEW_PAUSE_MS = 5000
/** A router that maps nothing may learn to: a person may switch it on. */
const RETRY_INTERVAL_MS: number = 10 * 60_000

export type MappedProtocol = keyof typeof PROTOCOLS

export interface PortMapperOptions {
  /** Both IPv4. */
  readonly gateway: IpAddress
  readonly ownAddress: IpAddress
  readonly protocol: MappedProtocol
  /** Of this machine. */
  readonly port: number
  /** External one to ask for; the router may give another. */
  readonly suggestedPort: number
  /**
   * Of PCP: says whose a mapping is (RFC 6887 section 11.2). The same for ever, so that a node that ended without giving
   * its port back gets it again: with another nonce a router refuses that until the mapping has expired.
   */
  readonly nonce: Uint8Array
}

export interface MapperSend {
  readonly to: Endpoint
  readonly bytes: Uint8Array
}

interface Mapped {
  readonly port: number
  readonly lifetimeS: number
  readonly address: IpAddress | undefined
}

export class PortMapper {
  readonly #options: PortMapperOptions
  readonly #nonce: Uint8Array
  #roundMs = 0
  #step = 0
  #isAnswered = false
  #externalPort: number | undefined
  #externalAddress: IpAddress | undefined
  #expiresMs = Number.POSITIVE_INFINITY
  #nextRoundMs = Number.POSITIVE_INFINITY

  constructor(options: PortMapperOptions) {
    this.#options = options
    this.#nonce = options.nonce.subarray(0, NONCE_BYTES)
  }

  /** Undefined while nothing is mapped. */
  get externalPort(): number | undefined {
    return this.#externalPort
  }

  /** Of the router, as it says itself: IPv4, and right about what is next to it only. */
  get externalAddress(): IpAddress | undefined {
    return this.#externalAddress
  }

  start(nowMs: number, sends: MapperSend[]): void {
    this.#roundMs = nowMs
    this.#step = 0
    this.#isAnswered = false
    this.#nextRoundMs = nowMs + RETRY_INTERVAL_MS
    this.handleTimeout(nowMs, sends)
  }

  /** The router may have been restarted, and have forgotten what it mapped. */
  renew(nowMs: number, sends: MapperSend[]): void {
    if (nowMs >= this.#roundMs + RENEW_PAUSE_MS) this.start(nowMs, sends)
  }

  nextDeadlineMs(): number {
    const resendMs = RESEND_AFTER_MS[this.#step]
    const sendMs = this.#isAnswered || resendMs === undefined ? this.#nextRoundMs : this.#roundMs + resendMs
    return Math.min(sendMs, this.#expiresMs)
  }

  handleTimeout(nowMs: number, sends: MapperSend[]): void {
    if (nowMs >= this.#expiresMs) {
      this.#externalPort = undefined
      this.#expiresMs = Number.POSITIVE_INFINITY
    }
    if (nowMs >= this.#nextRoundMs) this.start(nowMs, sends)
    else if (
      !this.#isAnswered &&
      nowMs >= this.#roundMs + (RESEND_AFTER_MS[this.#step] ?? Number.POSITIVE_INFINITY)
    ) {
      this.#step += 1
      this.#ask(LIFETIME_S, sends)
    }
  }

  handleDatagram(from: Endpoint, bytes: Uint8Array, nowMs: number): void {
    if (!equalIp(from.address, this.#options.gateway) || from.port !== MAPPING_PORT) return
    this.#externalAddress = tryReadAddress(bytes) ?? this.#externalAddress
    const answer = this.#tryDecodePcp(bytes) ?? this.#tryDecodeNatPmp(bytes)
    if (answer === undefined || answer.lifetimeS === 0 || answer.port === 0) return
    this.#isAnswered = true
    this.#externalAddress = answer.address ?? this.#externalAddress
    this.#externalPort = answer.port
    this.#expiresMs = nowMs + 1000 * answer.lifetimeS
    this.#nextRoundMs = nowMs + 500 * answer.lifetimeS
  }

  /** Gives the mapping back. */
  stop(sends: MapperSend[]): void {
    if (this.#externalPort !== undefined) this.#ask(0, sends)
    this.#externalPort = undefined
  }

  #ask(lifetimeS: number, sends: MapperSend[]): void {
    const to = { address: this.#options.gateway, port: MAPPING_PORT, scopeId: 0 }
    sends.push({ to, bytes: this.#encodePcp(lifetimeS) }, { to, bytes: this.#encodeNatPmp(lifetimeS) })
    if (lifetimeS > 0 && this.#options.protocol === 'udp') sends.push({ to, bytes: new Uint8Array(2) })
  }

  #encodePcp(lifetimeS: number): Uint8Array {
    const { ownAddress, port, suggestedPort, protocol } = this.#options
    const bytes = new Uint8Array(PCP_BYTES)
    const view = new DataView(bytes.buffer)
    bytes.set([2, 1])
    view.setUint32(4, lifetimeS)
    bytes.set(mappedAddressBytes(ownAddress), 8)
    bytes.set(this.#nonce, 24)
    bytes[36] = PROTOCOLS[protocol].number
    view.setUint16(40, port)
    view.setUint16(42, this.#externalPort ?? suggestedPort)
    // An address of all zero, v4-mapped: any will do.
    bytes.set([0xff, 0xff], 54)
    return bytes
  }

  #encodeNatPmp(lifetimeS: number): Uint8Array {
    const { port, suggestedPort, protocol } = this.#options
    const external = lifetimeS === 0 ? 0 : (this.#externalPort ?? suggestedPort)
    const body = new Uint8Array(8)
    const view = new DataView(body.buffer)
    view.setUint16(0, port)
    view.setUint16(2, external)
    view.setUint32(4, lifetimeS)
    return concatBytes(Uint8Array.of(0, PROTOCOLS[protocol].opcode, 0, 0), body)
  }

  #tryDecodePcp(bytes: Uint8Array): Mapped | undefined {
    if (bytes.length < PCP_BYTES || bytes[0] !== 2 || bytes[1] !== 0x81 || bytes[3] !== 0) return undefined
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length)
    const isOurs =
      equalBytes(bytes.subarray(24, 36), this.#nonce) &&
      bytes[36] === PROTOCOLS[this.#options.protocol].number &&
      view.getUint16(40) === this.#options.port
    if (!isOurs) return undefined
    const address = tryDecodeV4(bytes.subarray(ASSIGNED_ADDRESS_OFFSET, PCP_BYTES))
    return { port: view.getUint16(42), lifetimeS: view.getUint32(4), address }
  }

  #tryDecodeNatPmp(bytes: Uint8Array): Mapped | undefined {
    const opcode = NAT_PMP_ANSWER + PROTOCOLS[this.#options.protocol].opcode
    if (bytes.length < NAT_PMP_ANSWER_BYTES || bytes[0] !== 0 || bytes[1] !== opcode) return undefined
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length)
    if (view.getUint16(2) !== 0 || view.getUint16(8) !== this.#options.port) return undefined
    return { port: view.getUint16(10), lifetimeS: view.getUint32(12), address: undefined }
  }
}

/** Of an answer to NAT-PMP's question for it. */
function tryReadAddress(bytes: Uint8Array): IpAddress | undefined {
  const isAnswer =
    bytes.length === NAT_PMP_ADDRESS_ANSWER_BYTES && bytes[0] === 0 && bytes[1] === NAT_PMP_ANSWER
  return isAnswer && bytes[2] === 0 && bytes[3] === 0 ? ipFromBytes(bytes.subarray(8)) : undefined
}

/** Of 16 bytes, v4-mapped; undefined for none, and for IPv6. */
function tryDecodeV4(bytes: Uint8Array): IpAddress | undefined {
  const address = ipFromBytes(bytes.subarray(12))
  const isV4 = equalBytes(bytes, mappedAddressBytes(address))
  return isV4 && address.bytes.some((byte) => byte !== 0) ? address : undefined
}
