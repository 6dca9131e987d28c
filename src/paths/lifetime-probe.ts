/**
 * Finds out for how long the NAT before this machine keeps an idle mapping (RFC 5780 section 4.6), on sockets
 * that carry nothing else. Sans-IO.
 *
 * | step | what is asked | of what |
 * | warm | a server, twice | a fresh socket: its mapping is there, and has seen answers |
 * | silent | nobody, for as long as the cliff is high | |
 * | asking | the same server, to answer the fresh socket instead | another socket |
 *
 * If the fresh socket hears that, mapping and filter lived through the silence, and a higher cliff is tried.
 * INVARIANT: nothing is sent from the fresh socket after it was warm; a try that fails is made once more on
 * another one, as a datagram may be lost.
 *
 * The second question is not for safety alone: many NATs keep a mapping for long only once it has carried
 * more than a question and its answer (Linux: after 2 s), as one that carries data has.
 */

import { formatHex } from '../base/bytes.js'
import { type Endpoint, equalEndpoint } from '../net/endpoint.js'
import type { RandomBytes } from '../wireguard/crypto.js'
import {
  decodeStun,
  encodeBindingRequest,
  encodeResponsePortRequest,
  isBinding,
  mappedEndpoint,
  TRANSACTION_ID_BYTES,
} from './stun.js'

/** Most NATs keep a mapping for 30 s, 60 s, or 120 s and more. */
const CLIFFS_MS = [30_000, 60_000, 110_000] as const
const TRIES = 2
/** From the first answer to the second question. */
const WARM_MS = 3000
const RESEND_AT_MS = [0, 300, 1000] as const
const PATIENCE_MS = 3000
const MAX_SERVERS = 4

/** Asks for the others; the driver opens each socket when it is first sent from. */
const ASKING_SOCKET = 0

export interface LifetimeProbeOptions {
  /** All of IPv4; asked one after the other until one can do it. */
  readonly servers: readonly Endpoint[]
  readonly random: RandomBytes
}

export interface LifetimeSend {
  readonly socket: number
  readonly to: Endpoint
  readonly bytes: Uint8Array
}

type Step =
  | { readonly kind: 'idle' }
  | { readonly kind: 'first' | 'second'; readonly question: Question }
  | { readonly kind: 'warm' | 'silent'; readonly untilMs: number; readonly mapped: Endpoint }
  | { readonly kind: 'asking'; readonly question: Question }
  | { readonly kind: 'done' }

interface Question {
  readonly id: string
  readonly socket: number
  readonly bytes: Uint8Array
  readonly startedMs: number
  sent: number
}

export class LifetimeProbe {
  readonly #options: LifetimeProbeOptions
  readonly #servers: Endpoint[]
  #step: Step = { kind: 'idle' }
  /** The fresh socket of this try. */
  #socket = ASKING_SOCKET
  #cliff = 0
  #failed = 0
  #lifetimeMs: number | undefined

  constructor(options: LifetimeProbeOptions) {
    this.#options = options
    this.#servers = options.servers.slice(0, MAX_SERVERS)
  }

  get isDone(): boolean {
    return this.#step.kind === 'done'
  }

  /** Mappings live for so long at least; undefined if that could not be found out, or is less than one asks for. */
  get lifetimeMs(): number | undefined {
    return this.#lifetimeMs
  }

  start(nowMs: number, sends: LifetimeSend[]): void {
    this.#begin(nowMs, sends)
  }

  handleDatagram(
    socket: number,
    from: Endpoint,
    bytes: Uint8Array,
    nowMs: number,
    sends: LifetimeSend[],
  ): void {
    const step = this.#step
    const message = decodeStun(bytes)
    if (!('question' in step) || message === undefined || !isBinding(message)) return
    const [server] = this.#servers
    const isAnswer = formatHex(message.transactionId) === step.question.id
    if (!isAnswer || server === undefined || !equalEndpoint(from, server)) return
    if (step.kind === 'asking') {
      // Answered where it asked, the server did not understand.
      if (socket === ASKING_SOCKET) this.#nextServer(nowMs, sends)
      else if (socket === this.#socket && message.class === 'success') this.#survived(nowMs, sends)
      return
    }
    const mapped = mappedEndpoint(message)
    if (socket !== this.#socket || message.class !== 'success' || mapped === undefined) return
    if (step.kind === 'first') this.#step = { kind: 'warm', untilMs: nowMs + WARM_MS, mapped }
    else this.#step = { kind: 'silent', untilMs: nowMs + this.#silenceMs, mapped }
  }

  handleTimeout(nowMs: number, sends: LifetimeSend[]): void {
    if (nowMs < this.nextDeadlineMs()) return
    const step = this.#step
    switch (step.kind) {
      case 'warm':
        this.#step = { kind: 'second', question: this.#ask(nowMs, sends) }
        break
      case 'silent':
        this.#step = { kind: 'asking', question: this.#ask(nowMs, sends, step.mapped.port) }
        break
      case 'first':
      case 'second':
        if (!this.#resend(step.question, sends)) this.#nextServer(nowMs, sends)
        break
      case 'asking':
        if (!this.#resend(step.question, sends)) this.#vanished(nowMs, sends)
        break
      case 'idle':
      case 'done':
        break
    }
  }

  nextDeadlineMs(): number {
    const step = this.#step
    if ('untilMs' in step) return step.untilMs
    if (!('question' in step)) return Number.POSITIVE_INFINITY
    const { startedMs, sent } = step.question
    return startedMs + (RESEND_AT_MS[sent] ?? PATIENCE_MS)
  }

  // --- inside ----------------------------------------------------------------------------------

  get #silenceMs(): number {
    return CLIFFS_MS[this.#cliff] ?? 0
  }

  /** A try, on a socket of its own. */
  #begin(nowMs: number, sends: LifetimeSend[]): void {
    if (this.#servers.length === 0 || this.#cliff === CLIFFS_MS.length) {
      this.#step = { kind: 'done' }
      return
    }
    this.#socket += 1
    this.#step = { kind: 'first', question: this.#ask(nowMs, sends) }
  }

  #survived(nowMs: number, sends: LifetimeSend[]): void {
    this.#lifetimeMs = this.#silenceMs
    this.#cliff += 1
    this.#failed = 0
    this.#begin(nowMs, sends)
  }

  #vanished(nowMs: number, sends: LifetimeSend[]): void {
    this.#failed += 1
    if (this.#failed === TRIES) this.#step = { kind: 'done' }
    else this.#begin(nowMs, sends)
  }

  /** This one is silent, or cannot do it; what it has shown so far stays true. */
  #nextServer(nowMs: number, sends: LifetimeSend[]): void {
    this.#servers.shift()
    this.#failed = 0
    this.#begin(nowMs, sends)
  }

  /** `port`: of the fresh socket, as the NAT shows it, to answer to; else it asks for itself. */
  #ask(nowMs: number, sends: LifetimeSend[], port?: number): Question {
    const id = this.#options.random(TRANSACTION_ID_BYTES)
    const question: Question = {
      id: formatHex(id),
      socket: port === undefined ? this.#socket : ASKING_SOCKET,
      bytes: port === undefined ? encodeBindingRequest(id) : encodeResponsePortRequest(id, port),
      startedMs: nowMs,
      sent: 0,
    }
    this.#resend(question, sends)
    return question
  }

  /** False if it was sent often enough. */
  #resend(question: Question, sends: LifetimeSend[]): boolean {
    const [to] = this.#servers
    if (to === undefined || question.sent === RESEND_AT_MS.length) return false
    question.sent += 1
    sends.push({ socket: question.socket, to, bytes: question.bytes })
    return true
  }
}
