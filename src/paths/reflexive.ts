/**
 * This node's own addresses as servers see them, asked from the very sockets that carry data. Sans-IO.
 *
 * All servers of both families are asked at once, again until they answer, and again from time to time: that
 * keeps the NAT's mapping open and notices when it changes. Two answers that agree say that the mapping does
 * not depend on who is asked.
 *
 * An answer counts only under the id of its question and from the server that was asked. What stays unanswered is
 * asked under a veil too (veil.ts); where only that is answered, the network drops STUN.
 */

import { formatHex } from '../base/bytes.js'
import { type Endpoint, equalEndpoint, formatEndpoint } from '../net/endpoint.js'
import type { IpAddress } from '../net/ip.js'
import type { Path } from '../net/path.js'
import type { RandomBytes } from '../wireguard/crypto.js'
import { keepaliveMs } from './keepalive.js'
import { type Mapping, mappingOf, type Sighting } from './nat.js'
import { decodeStun, encodeBindingRequest, isBinding, mappedEndpoint, TRANSACTION_ID_BYTES } from './stun.js'
import { veil } from './veil.js'

const RESEND_AT_MS = [0, 100, 300, 700, 1500, 3000] as const
/** Most NATs keep an unused mapping for 30 s at least; how long ours does may become known. */
const REFRESH_INTERVAL_MS = 22_000
/** No server has answered in a round for so long: none will. */
const SILENCE_MS = 4500
/** While nobody answers: a firewall may open, and then paths are to be found soon. */
const SILENT_RESEND_AT_MS = [0, 400] as const
const SILENT_INTERVAL_MS = 3000
const MIN_ROUND_INTERVAL_MS = 500
const MAX_SERVERS = 8
/** So long after a round began questions go both ways. */
const VEILED_FROM_MS = 300

export interface ReflexiveSockets {
  readonly v4: number | undefined
  readonly v6: number | undefined
}

export type ReflexiveEffect = { readonly kind: 'send'; readonly path: Path; readonly bytes: Uint8Array }

interface Question {
  readonly server: Endpoint
  readonly path: Path
  readonly id: string
  readonly transactionId: Uint8Array
}

export class Reflexive {
  readonly #random: RandomBytes
  #servers: readonly Endpoint[] = []
  #sockets: ReflexiveSockets = { v4: undefined, v6: undefined }
  #ownAddresses: readonly IpAddress[] = []
  #questions: Question[] = []
  #startedMs = Number.POSITIVE_INFINITY
  #step = 0
  #resendAtMs: readonly number[] = RESEND_AT_MS
  #isAnswered = false
  #isStunDropped = false
  /** By server, the latest. */
  #sightings = new Map<string, Sighting>()
  #nextRoundMs = Number.POSITIVE_INFINITY
  #refreshMs = REFRESH_INTERVAL_MS

  constructor(random: RandomBytes) {
    this.#random = random
  }

  /** Servers answer what does not look like STUN, and nothing else: so does what is asked of them otherwise. */
  get isStunDropped(): boolean {
    return this.#isStunDropped
  }

  /** As whom servers see us; one for each distinct mapping. */
  get endpoints(): Endpoint[] {
    const distinct = new Map(
      [...this.#sightings.values()].map(({ mapped }) => [formatEndpoint(mapped), mapped]),
    )
    return [...distinct.values()]
  }

  /** Of the IPv4 NAT: IPv6 has none where it works as it should. */
  get mapping(): Mapping {
    const v4 = [...this.#sightings.values()].filter(({ mapped }) => mapped.address.family === 4)
    return mappingOf(v4, this.#ownAddresses)
  }

  /** Begins anew with what is known. */
  configure(
    position: {
      readonly servers?: readonly Endpoint[]
      readonly sockets?: ReflexiveSockets
      readonly ownAddresses?: readonly IpAddress[]
    },
    nowMs: number,
    effects: ReflexiveEffect[],
  ): void {
    this.#servers = (position.servers ?? this.#servers).slice(0, MAX_SERVERS)
    this.#sockets = position.sockets ?? this.#sockets
    this.#ownAddresses = position.ownAddresses ?? this.#ownAddresses
    this.#sightings.clear()
    this.#isStunDropped = false
    this.#startRound(RESEND_AT_MS, nowMs, effects)
  }

  /** Of an idle mapping, if it is known. */
  setLifetime(lifetimeMs: number | undefined): void {
    this.#refreshMs = keepaliveMs(lifetimeMs, REFRESH_INTERVAL_MS)
    this.#nextRoundMs = Math.min(this.#nextRoundMs, this.#startedMs + this.#refreshMs)
  }

  /** Asks anew, out of turn, but not all the time. */
  refresh(nowMs: number, effects: ReflexiveEffect[]): void {
    if (nowMs - this.#startedMs >= MIN_ROUND_INTERVAL_MS) this.#startRound(RESEND_AT_MS, nowMs, effects)
  }

  nextDeadlineMs(): number {
    const at = this.#resendAtMs[this.#step]
    return this.#questions.length > 0 && at !== undefined ? this.#startedMs + at : this.#roundEndMs
  }

  handleTimeout(nowMs: number, effects: ReflexiveEffect[]): boolean {
    const at = this.#resendAtMs[this.#step]
    if (this.#questions.length > 0 && at !== undefined) {
      if (nowMs >= this.#startedMs + at) this.#sendRound(effects)
      return false
    }
    if (nowMs < this.#roundEndMs) return false
    // What was not seen again in the last round is not true any more.
    let isChanged = false
    for (const { server } of this.#questions) {
      isChanged = this.#sightings.delete(formatEndpoint(server)) || isChanged
    }
    this.#startRound(this.#isAnswered ? RESEND_AT_MS : SILENT_RESEND_AT_MS, nowMs, effects)
    return isChanged
  }

  get #roundEndMs(): number {
    if (this.#isAnswered || this.#questions.length === 0) return this.#nextRoundMs
    return this.#startedMs + (this.#resendAtMs === RESEND_AT_MS ? SILENCE_MS : SILENT_INTERVAL_MS)
  }

  /** `bytes`: isStun. `isVeiled`: as it came. True if something is known now that was not, or is different. */
  handleAnswer(path: Path, bytes: Uint8Array, isVeiled: boolean): boolean {
    const message = decodeStun(bytes)
    if (message === undefined || message.class !== 'success' || !isBinding(message)) return false
    const id = formatHex(message.transactionId)
    const question = this.#questions.find(
      (candidate) => candidate.id === id && equalEndpoint(candidate.server, path.remote),
    )
    const mapped = mappedEndpoint(message)
    if (question === undefined || mapped === undefined) return false
    this.#isAnswered = true
    this.#isStunDropped = isVeiled
    this.#questions = this.#questions.filter((candidate) => candidate !== question)
    const key = formatEndpoint(question.server)
    const before = this.#sightings.get(key)
    this.#sightings.set(key, { server: question.server, mapped })
    return before === undefined || !equalEndpoint(before.mapped, mapped)
  }

  #startRound(resendAtMs: readonly number[], nowMs: number, effects: ReflexiveEffect[]): void {
    this.#startedMs = nowMs
    this.#step = 0
    this.#resendAtMs = resendAtMs
    this.#isAnswered = false
    this.#nextRoundMs = nowMs + this.#refreshMs
    this.#questions = this.#servers.flatMap((server) => {
      const socket = server.address.family === 4 ? this.#sockets.v4 : this.#sockets.v6
      if (socket === undefined) return []
      const transactionId = this.#random(TRANSACTION_ID_BYTES)
      return [
        {
          server,
          path: { socket, remote: server, local: undefined },
          id: formatHex(transactionId),
          transactionId,
        },
      ]
    })
    this.#sendRound(effects)
  }

  #sendRound(effects: ReflexiveEffect[]): void {
    const isLate = (this.#resendAtMs[this.#step] ?? 0) >= VEILED_FROM_MS
    this.#step += 1
    for (const { path, transactionId } of this.#questions) {
      const bytes = encodeBindingRequest(transactionId)
      // Where STUN is dropped, once a round: it may not be any more.
      if (!this.#isStunDropped || this.#step === 1) effects.push({ kind: 'send', path, bytes })
      if (this.#isStunDropped || isLate) {
        effects.push({ kind: 'send', path, bytes: veil(bytes, this.#random) })
      }
    }
  }
}
