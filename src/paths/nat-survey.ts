/**
 * Finds out how the NAT before this machine behaves, by asking STUN servers. Sans-IO.
 *
 * One burst from one socket to all servers tells the mapping; as soon as it is known, and all at once:
 * filtering (a server with two addresses answers from where it was not asked, RFC 5780 section 4.4), the
 * port range (fresh sockets, only if the mapping depends on the remote end), and hairpinning. So it takes
 * two round trips where everybody answers. What gets no answer is asked again and then counts as absent.
 *
 * An answer is taken only from where it must come from, and only under the id of its question.
 */

import { formatHex } from '../base/bytes.js'
import { type Endpoint, equalEndpoint } from '../net/endpoint.js'
import { equalIp, type IpAddress } from '../net/ip.js'
import type { RandomBytes } from '../wireguard/crypto.js'
import {
  type Filtering,
  type Mapping,
  mappingOf,
  type PortChoice,
  portChoiceOf,
  type Sighting,
} from './nat.js'
import {
  type ChangeRequest,
  decodeStun,
  encodeBindingRequest,
  errorCode,
  isBinding,
  isStun,
  mappedEndpoint,
  otherEndpoint,
  type StunMessage,
  TRANSACTION_ID_BYTES,
  transactionIdOf,
} from './stun.js'

/** When a question is sent again, in ms after it was first sent. */
const RESEND_AFTER_MS = [100, 300, 700, 1300] as const
/** In the second round many questions get no answer by nature: the last resend that is waited for. */
const LAST_RESEND_MS = RESEND_AFTER_MS[2]
/** Without any answer for so long, UDP does not come through. */
const SILENCE_MS = 3000
/** How long the other servers are waited for once one has answered, and the second round at most. */
const PATIENCE_MS = 1500
const RANGE_SOCKETS = 24 // samples: enough for the range of a block within a tenth, in one round trip
const MAX_SERVERS = 4

/** Sockets by number; the driver opens each when it is first sent from. */
const MAIN_SOCKET = 0
const FILTER_SOCKET = 1
const HAIRPIN_SOCKET = 2
const FIRST_RANGE_SOCKET = 3

export interface SurveyOptions {
  /** All of one family; the first four are asked. */
  readonly servers: readonly Endpoint[]
  /** Of this machine. */
  readonly ownAddresses: readonly IpAddress[]
  readonly random: RandomBytes
}

export interface SurveySend {
  readonly socket: number
  readonly to: Endpoint
  readonly bytes: Uint8Array
}

interface ServerSurvey {
  readonly server: Endpoint
  /** Undefined if it did not answer. */
  readonly rttMs: number | undefined
  /** What came instead of an answer; undefined if nothing did. */
  readonly fault: string | undefined
}

export interface SurveyReport {
  readonly servers: readonly ServerSurvey[]
  /** Something came back over UDP, if only a refusal. */
  readonly isHeard: boolean
  /** Undefined if no server said it. */
  readonly mapped: Endpoint | undefined
  readonly mapping: Mapping
  readonly filtering: Filtering
  /** Of a NAT whose mapping depends on the remote end; undefined where it was not needed or not found. */
  readonly ports: PortChoice | undefined
  /** Undefined where there is no NAT to turn packets round. */
  readonly hairpin: boolean | undefined
}

type Purpose = 'mapping' | 'filterAddress' | 'filterPort' | 'range' | 'hairpin'

interface Question {
  readonly purpose: Purpose
  readonly socket: number
  readonly to: Endpoint
  readonly bytes: Uint8Array
  readonly firstSentMs: number
  resends: number
  answer: { readonly mapped: Endpoint | undefined; readonly rttMs: number } | undefined
  fault: string | undefined
}

type Round = 'notStarted' | 'mapping' | 'rest' | 'done'

export class NatSurvey {
  readonly #options: SurveyOptions
  readonly #questions = new Map<string, Question>()
  #round: Round = 'notStarted'
  #roundStartMs = 0
  #firstAnswerMs: number | undefined
  /** A server that answers from two addresses, and the other one. */
  #pair: { readonly server: Endpoint; readonly other: Endpoint } | undefined

  constructor(options: SurveyOptions) {
    this.#options = options
  }

  get isDone(): boolean {
    return this.#round === 'done'
  }

  start(nowMs: number, sends: SurveySend[]): void {
    this.#round = 'mapping'
    this.#roundStartMs = nowMs
    for (const server of this.#options.servers.slice(0, MAX_SERVERS)) {
      this.#ask('mapping', MAIN_SOCKET, server, nowMs, sends)
    }
    if (this.#questions.size === 0) this.#round = 'done'
  }

  handleDatagram(
    socket: number,
    from: Endpoint,
    bytes: Uint8Array,
    nowMs: number,
    sends: SurveySend[],
  ): void {
    if (!isStun(bytes)) return
    const question = this.#questions.get(formatHex(transactionIdOf(bytes)))
    if (question === undefined || question.answer !== undefined) return
    const message = decodeStun(bytes)
    if (message === undefined || !isBinding(message) || message.class === 'error') {
      if (socket === question.socket && equalEndpoint(from, question.to)) question.fault = faultOf(message)
      return
    }
    if (!this.#isAnswer(question, message, socket, from)) return
    const mapped = mappedEndpoint(message)
    question.answer = { mapped, rttMs: nowMs - question.firstSentMs }
    this.#firstAnswerMs ??= nowMs
    if (question.purpose === 'mapping') this.#learnOther(question.to, message, nowMs, sends)
    this.#advance(nowMs, sends)
  }

  handleTimeout(nowMs: number, sends: SurveySend[]): void {
    for (const question of this.#open()) {
      const dueMs = question.firstSentMs + (RESEND_AFTER_MS[question.resends] ?? Number.POSITIVE_INFINITY)
      if (dueMs > nowMs) continue
      question.resends += 1
      sends.push(question)
    }
    this.#advance(nowMs, sends)
  }

  nextDeadlineMs(): number {
    if (this.#round === 'notStarted' || this.#round === 'done') return Number.POSITIVE_INFINITY
    const resends = this.#open().map(
      ({ firstSentMs, resends }) => firstSentMs + (RESEND_AFTER_MS[resends] ?? Number.POSITIVE_INFINITY),
    )
    return Math.min(this.#roundEndMs(), ...resends)
  }

  report(): SurveyReport {
    const mapping = this.#mapping()
    const ports = this.#all('range').flatMap(({ answer }) => answer?.mapped?.port ?? [])
    const [hairpin] = this.#all('hairpin')
    const asked = this.#options.servers.slice(0, MAX_SERVERS)
    return {
      servers: asked.map((server) => {
        const { answer, fault } = this.#questionTo(server) ?? {}
        return { server, rttMs: answer?.rttMs, fault: answer === undefined ? fault : undefined }
      }),
      isHeard: [...this.#questions.values()].some(({ answer, fault }) => (answer ?? fault) !== undefined),
      mapped: this.#sightings()[0]?.mapped,
      mapping,
      filtering: this.#filtering(),
      ports: portChoiceOf(ports),
      hairpin: hairpin && hairpin.answer !== undefined,
    }
  }

  // --- questions -------------------------------------------------------------------------------

  #ask(
    purpose: Purpose,
    socket: number,
    to: Endpoint,
    nowMs: number,
    sends: SurveySend[],
    change?: ChangeRequest,
  ): void {
    const id = this.#options.random(TRANSACTION_ID_BYTES)
    const question: Question = {
      purpose,
      socket,
      to,
      bytes: encodeBindingRequest(id, change),
      firstSentMs: nowMs,
      resends: 0,
      answer: undefined,
      fault: undefined,
    }
    this.#questions.set(formatHex(id), question)
    sends.push(question)
  }

  /** A question that came back to the main socket proves hairpinning; all others need their server. */
  #isAnswer(question: Question, message: StunMessage, socket: number, from: Endpoint): boolean {
    const { purpose, to } = question
    if (purpose === 'hairpin') return message.class === 'request' && socket === MAIN_SOCKET
    if (message.class !== 'success' || socket !== question.socket) return false
    if (purpose === 'filterAddress') return this.#pair !== undefined && equalEndpoint(from, this.#pair.other)
    if (purpose === 'filterPort') return equalIp(from.address, to.address) && from.port !== to.port
    return equalEndpoint(from, to)
  }

  /** The other address of a server is a second server, and its other port a third. */
  #learnOther(server: Endpoint, message: StunMessage, nowMs: number, sends: SurveySend[]): void {
    const other = otherEndpoint(message)
    if (other === undefined || this.#pair !== undefined || this.#round !== 'mapping') return
    if (other.address.family !== server.address.family || equalIp(other.address, server.address)) return
    this.#pair = { server, other }
    for (const to of [other, { ...other, port: server.port }, { ...server, port: other.port }]) {
      const isAsked = this.#all('mapping').some((question) => equalEndpoint(question.to, to))
      if (!isAsked) this.#ask('mapping', MAIN_SOCKET, to, nowMs, sends)
    }
  }

  #advance(nowMs: number, sends: SurveySend[]): void {
    const isOver = this.#open().length === 0 || nowMs >= this.#roundEndMs()
    if (!isOver || this.#round === 'done') return
    if (this.#round === 'mapping' && this.#firstAnswerMs !== undefined) this.#startRest(nowMs, sends)
    else this.#round = 'done'
  }

  #startRest(nowMs: number, sends: SurveySend[]): void {
    this.#round = 'rest'
    this.#roundStartMs = nowMs
    const mapping = this.#mapping()
    const [sighting] = this.#sightings()
    if (this.#pair !== undefined) {
      const { server } = this.#pair
      this.#ask('filterAddress', FILTER_SOCKET, server, nowMs, sends, { address: true, port: true })
      this.#ask('filterPort', FILTER_SOCKET, server, nowMs, sends, { address: false, port: true })
    }
    if (sighting !== undefined && mapping !== 'none') {
      this.#ask('hairpin', HAIRPIN_SOCKET, sighting.mapped, nowMs, sends)
    }
    if (sighting !== undefined && mapping.startsWith('address')) {
      for (let i = 0; i < RANGE_SOCKETS; i++) {
        this.#ask('range', FIRST_RANGE_SOCKET + i, sighting.server, nowMs, sends)
      }
    }
    if (this.#open().length === 0) this.#round = 'done'
  }

  #roundEndMs(): number {
    if (this.#round === 'rest') {
      const slowestMs = Math.max(...this.#all('mapping').map(({ answer }) => answer?.rttMs ?? 0))
      return this.#roundStartMs + Math.min(PATIENCE_MS, LAST_RESEND_MS + 3 * slowestMs)
    }
    const silentUntilMs = this.#roundStartMs + SILENCE_MS
    return Math.min(silentUntilMs, (this.#firstAnswerMs ?? silentUntilMs) + PATIENCE_MS)
  }

  // --- what is known ---------------------------------------------------------------------------

  #open(): Question[] {
    const isFirstRound = this.#round === 'mapping'
    return [...this.#questions.values()].filter(
      ({ answer, purpose }) => answer === undefined && (purpose === 'mapping') === isFirstRound,
    )
  }

  #all(purpose: Purpose): Question[] {
    return [...this.#questions.values()].filter((question) => question.purpose === purpose)
  }

  #sightings(): Sighting[] {
    return this.#all('mapping').flatMap(({ to, answer }) =>
      answer?.mapped === undefined ? [] : [{ server: to, mapped: answer.mapped }],
    )
  }

  #mapping(): Mapping {
    return mappingOf(this.#sightings(), this.#options.ownAddresses)
  }

  #filtering(): Filtering {
    const [byAddress] = this.#all('filterAddress')
    const [byPort] = this.#all('filterPort')
    if (byAddress === undefined || byPort === undefined) return 'unknown'
    if (byAddress.answer !== undefined) return 'endpointIndependent'
    return byPort.answer === undefined ? 'addressAndPortDependent' : 'addressDependent'
  }

  #questionTo(server: Endpoint): Question | undefined {
    return this.#all('mapping').find(({ to }) => equalEndpoint(to, server))
  }
}

function faultOf(message: StunMessage | undefined): string {
  if (message?.class !== 'error') return 'what it says is not understood'
  return `it refuses (error ${errorCode(message) ?? 'without a number'})`
}
