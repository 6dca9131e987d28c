/**
 * STUN over UDP. With two ports, and where a second address is given both of that too, it tells every kind of
 * NAT; a relay has one port, which is enough to tell a node its own endpoint.
 */

import { createSocket, type Socket } from 'node:dgram'
import type { Endpoint } from '../../net/endpoint.js'
import { formatIp, type IpAddress, tryParseIp } from '../../net/ip.js'
import { tryUnveil, veilAnswer } from '../../paths/veil.js'
import { toPlatformError } from '../../platform/system-error.js'
import { answerStun } from '../stun-answer.js'
import { StunBudget } from '../stun-budget.js'

const ANY_V4 = '0.0.0.0'
const ANY_V6 = '::'

export interface StunServerOptions {
  /** None: all addresses of the machine, as one. */
  readonly addresses: readonly IpAddress[]
  readonly ports: readonly number[]
  /** On which it answers too unless somebody else has it. */
  readonly sparePort?: number
  /** What to type when one of the others is taken. */
  readonly hint: string
  readonly nowMs: () => number
}

interface Corner {
  readonly socket: Socket
  readonly endpoint: Endpoint
}

export class StunServer {
  readonly #corners: Corner[] = []
  readonly #budget = new StunBudget()
  readonly #nowMs: () => number
  #answered = 0
  #ignored = 0

  private constructor(nowMs: () => number) {
    this.#nowMs = nowMs
  }

  /** Throws PlatformError. */
  static async open(options: StunServerOptions): Promise<StunServer> {
    const server = new StunServer(options.nowMs)
    const { ports, sparePort, hint } = options
    const given = options.addresses.map(formatIp)
    const hosts = given.length > 0 ? given : [ANY_V4, ANY_V6]
    try {
      for (const host of hosts) {
        for (const port of ports) await server.#bind(host, port, host === ANY_V6 ? undefined : hint)
        if (sparePort !== undefined) await server.#bind(host, sparePort, undefined)
      }
      return server
    } catch (error) {
      await server.close()
      throw error
    }
  }

  /** On one address at least. */
  get isOpen(): boolean {
    return this.#corners.length > 0
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

  /** `hint`: undefined if it can do without. */
  async #bind(host: string, port: number, hint: string | undefined): Promise<void> {
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
      if (hint === undefined) return
      throw toPlatformError(error, `cannot answer STUN on UDP ${host} port ${port}`, hint)
    }
    socket.on('error', () => undefined) // ICMP errors of answers
    const corner: Corner = { socket, endpoint: { address, port, scopeId: 0 } }
    this.#corners.push(corner)
    socket.on('message', (bytes, info) => {
      const from = tryParseIp(info.address.split('%')[0] ?? '')
      // Nobody is at port 0, and the system sends nothing there.
      if (from !== undefined && info.port !== 0)
        this.#answer(corner, { address: from, port: info.port, scopeId: 0 }, bytes)
    })
  }

  #answer(corner: Corner, from: Endpoint, bytes: Uint8Array): void {
    const { family } = corner.endpoint.address
    const corners = this.#corners.filter(({ endpoint }) => endpoint.address.family === family)
    const isAllowed = this.#budget.take(from, this.#nowMs())
    const question = tryUnveil(bytes)
    const answer = isAllowed
      ? answerStun(
          question ?? bytes,
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
    const sent = question === undefined ? answer.bytes : veilAnswer(answer.bytes, bytes)
    source.socket.send(sent, to.port, formatIp(to.address), () => undefined)
  }
}
