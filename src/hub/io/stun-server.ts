/**
 * STUN over UDP: on two ports, and where a second address is given on both of that too, which is what it
 * takes to tell every kind of NAT.
 */

import { createSocket, type Socket } from 'node:dgram'
import type { Endpoint } from '../../net/endpoint.js'
import { formatIp, type IpAddress, tryParseIp } from '../../net/ip.js'
import { toPlatformError } from '../../platform/system-error.js'
import { RateLimiter } from '../../wireguard/rate-limiter.js'
import { answerStun } from '../stun-answer.js'

/** Of one source: a survey of a NAT asks about 40 times. */
const LIMIT = { tokensPerS: 50, burst: 200 }
const ANY_V4 = '0.0.0.0'
const ANY_V6 = '::'

export interface StunServerOptions {
  /** None: all addresses of the machine, as one. */
  readonly addresses: readonly IpAddress[]
  /** The second one is one above. */
  readonly port: number
  readonly nowMs: () => number
}

interface Corner {
  readonly socket: Socket
  readonly endpoint: Endpoint
}

export class StunServer {
  readonly #corners: Corner[] = []
  readonly #limiter = new RateLimiter(LIMIT)
  readonly #nowMs: () => number
  #answered = 0
  #ignored = 0

  private constructor(nowMs: () => number) {
    this.#nowMs = nowMs
  }

  /** Throws PlatformError. */
  static async open(options: StunServerOptions): Promise<StunServer> {
    const server = new StunServer(options.nowMs)
    const { port } = options
    const given = options.addresses.map(formatIp)
    const hosts = given.length > 0 ? given : [ANY_V4, ANY_V6]
    try {
      for (const host of hosts) {
        for (const number of [port, port + 1]) await server.#bind(host, number, host !== ANY_V6)
      }
      return server
    } catch (error) {
      await server.close()
      throw error
    }
  }

  get answered(): number {
    return this.#answered
  }

  /** No questions, or too many of them. */
  get ignored(): number {
    return this.#ignored
  }

  async close(): Promise<void> {
    const sockets = this.#corners.splice(0).map(({ socket }) => socket)
    await Promise.all(
      sockets.map(async (socket) => await new Promise<void>((done) => socket.close(() => done()))),
    )
  }

  async #bind(host: string, port: number, isNeeded: boolean): Promise<void> {
    const address = tryParseIp(host)
    if (address === undefined) return
    const isV4 = address.family === 4
    const socket = createSocket({ type: isV4 ? 'udp4' : 'udp6', ipv6Only: !isV4 })
    try {
      await new Promise<void>((resolve, reject) => {
        socket.once('error', reject)
        socket.bind({ address: host, port }, () => resolve())
      })
    } catch (error) {
      socket.close()
      if (!isNeeded) return // a machine without IPv6
      throw toPlatformError(
        error,
        `cannot answer STUN on UDP ${host} port ${port}`,
        'choose another with --stun-port',
      )
    }
    socket.on('error', () => undefined) // ICMP errors of answers
    const corner: Corner = { socket, endpoint: { address, port, scopeId: 0 } }
    this.#corners.push(corner)
    socket.on('message', (bytes, info) => {
      const from = tryParseIp(info.address.split('%')[0] ?? '')
      if (from !== undefined) this.#answer(corner, { address: from, port: info.port, scopeId: 0 }, bytes)
    })
  }

  #answer(corner: Corner, from: Endpoint, bytes: Uint8Array): void {
    const { family } = corner.endpoint.address
    const corners = this.#corners.filter(({ endpoint }) => endpoint.address.family === family)
    const isAllowed = this.#limiter.isAllowed(from.address, this.#nowMs())
    const answer = isAllowed
      ? answerStun(
          bytes,
          from,
          corner.endpoint,
          corners.map(({ endpoint }) => endpoint),
        )
      : undefined
    const source = answer && corners.find(({ endpoint }) => endpoint === answer.source)
    if (answer === undefined || source === undefined) {
      this.#ignored += 1
      return
    }
    this.#answered += 1
    const { to } = answer
    source.socket.send(answer.bytes, to.port, formatIp(to.address), () => undefined)
  }
}
