/**
 * The node's own name server, on its address in the network: answers for its domain, and passes everything
 * else on to the servers that this machine asked before.
 */

import { createSocket, type RemoteInfo, type Socket } from 'node:dgram'
import type { Logger } from '../../base/log.js'
import { answerDns, type DnsQuery, failDns, type Zone } from '../../names/zone.js'
import { formatIp, type IpAddress } from '../../net/ip.js'
import { otherNameServers } from '../../platform/resolver.js'

const DNS_PORT = 53
const FORWARD_TIMEOUT_MS = 4000
const MAX_FORWARDED = 256

export class NameServer {
  readonly #address: string
  readonly #zone: Zone
  readonly #log: Logger
  readonly #socket: Socket
  readonly #forwarded = new Set<Socket>()

  constructor(address: IpAddress, zone: Zone, log: Logger) {
    this.#address = formatIp(address)
    this.#zone = zone
    this.#log = log
    this.#socket = createSocket({ type: address.family === 4 ? 'udp4' : 'udp6' })
  }

  /** Without it names do not resolve, and all else works: a failure is told in the log only. */
  start(): void {
    this.#socket.on('error', (error) => this.#log.warn('names.failed', { reason: error.message }))
    this.#socket.on('message', (query, from) => this.#handle(query, from))
    this.#socket.bind({ address: this.#address, port: DNS_PORT })
  }

  stop(): void {
    try {
      this.#socket.close()
    } catch {
      // it never opened
    }
    for (const socket of this.#forwarded) socket.close()
    this.#forwarded.clear()
  }

  /** Only this machine asks: whoever else did could make it ask others. */
  #handle(query: DnsQuery, from: RemoteInfo): void {
    if (from.address !== this.#address) return
    const outcome = answerDns(query, this.#zone)
    if (outcome.kind === 'answer') this.#answer(outcome.bytes, from)
    else if (outcome.kind === 'forward') this.#forward(query, from)
  }

  #answer(bytes: Uint8Array | undefined, { address, port }: RemoteInfo): void {
    if (bytes !== undefined) this.#socket.send(bytes, port, address, () => undefined)
  }

  /** To the first server that there is; whoever asks asks again if it is silent, and then the next. */
  #forward(query: DnsQuery, from: RemoteInfo): void {
    const [server] = otherNameServers()
    if (server === undefined || this.#forwarded.size >= MAX_FORWARDED) {
      this.#answer(failDns(query), from)
      return
    }
    const socket = createSocket({ type: server.includes(':') ? 'udp6' : 'udp4' })
    this.#forwarded.add(socket)
    const end = (): void => {
      clearTimeout(timer)
      if (this.#forwarded.delete(socket)) socket.close()
    }
    const timer = setTimeout(end, FORWARD_TIMEOUT_MS)
    socket.on('error', end)
    socket.once('message', (answer) => {
      this.#answer(answer, from)
      end()
    })
    socket.connect(DNS_PORT, server, () => socket.send(query))
  }
}
