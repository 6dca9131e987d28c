import { beforeEach, describe, expect, it } from 'vitest'
import type { MappedProtocol } from '../../../src/paths/port-mapper.js'
import type { RouterAnswer, RouterRequest } from '../../../src/paths/upnp.js'
import { UpnpMapper, type UpnpOutput } from '../../../src/paths/upnp-mapper.js'
import {
  addressOf,
  descriptionOf,
  IGD_ADDRESS,
  MAPPED,
  MINIUPNPD_DESCRIPTION,
  refusal,
  searchAnswer,
} from '../../support/igd.js'
import { ip } from '../../support/inner-packets.js'
import { endpoint } from '../../support/simulated-nat.js'

const PORT = 40_001
const HALF_LIFE_MS = 3_600_000
const RETRY_MS = 600_000

let mapper: UpnpMapper
let output: UpnpOutput
let nowMs: number
let mappedElsewhere: Set<MappedProtocol>
/** Action, protocol, external port and lease of each call, in short. */
let calls: string[]
let answerTo: (call: string) => RouterAnswer | undefined
let description: RouterAnswer | undefined
let addressAnswer: RouterAnswer | undefined

beforeEach(() => {
  mappedElsewhere = new Set()
  mapper = new UpnpMapper({
    gateway: ip(IGD_ADDRESS),
    ownAddress: ip('192.168.7.2'),
    port: PORT,
    suggestedPorts: { udp: PORT, tcp: 443 },
    isNeeded: (protocol) => !mappedElsewhere.has(protocol),
    random: (length) => Uint8Array.from({ length }, (_, i) => (i % 2 === 0 ? 0 : i)),
  })
  output = { sends: [], requests: [] }
  nowMs = 1000
  calls = []
  answerTo = () => MAPPED
  addressAnswer = addressOf('100.64.0.2')
  description = { status: 200, text: MINIUPNPD_DESCRIPTION }
})

function inShort({ url, call }: RouterRequest): string {
  if (call === undefined) return `GET ${url.path}`
  const [, action = ''] = call.soapAction.split(/[#"]/).slice(1)
  const textOf = (name: string): string => new RegExp(`<${name}>([^<]*)<`).exec(call.body)?.[1] ?? ''
  const words = [action.replace('PortMapping', ''), textOf('NewProtocol'), textOf('NewExternalPort')]
  return [...words, textOf('NewLeaseDuration')].join(' ').trim()
}

/** Answers all that is asked, until nothing is. */
function answerAll(): void {
  for (let request = output.requests.shift(); request !== undefined; request = output.requests.shift()) {
    const call = inShort(request)
    if (call === 'GetExternalIPAddress') {
      mapper.handleAnswer(addressAnswer, nowMs, output)
      continue
    }
    calls.push(call)
    mapper.handleAnswer(call.startsWith('GET') ? description : answerTo(call), nowMs, output)
  }
}

/** To the next deadline. */
function wake(): void {
  nowMs = mapper.nextDeadlineMs()
  mapper.handleTimeout(nowMs, output)
}

/** The router answers the search. */
function hear(bytes = searchAnswer(), from = IGD_ADDRESS): void {
  mapper.handleDatagram(endpoint(from, 1900), bytes, output)
}

function runRound(): void {
  wake()
  hear()
  answerAll()
}

function ports(): (number | undefined)[] {
  return [mapper.externalPort('udp'), mapper.externalPort('tcp')]
}

describe('a UPnP mapper', () => {
  it('searches, reads, and maps UDP and TCP', () => {
    mapper.start(nowMs)
    runRound()
    expect(calls).toEqual(['GET /rootDesc.xml', 'Add UDP 40001 7200', 'Add TCP 443 7200'])
    expect(ports()).toEqual([PORT, 443])
  })

  it('asks the router where it is itself, and goes on without an answer', () => {
    mapper.start(nowMs)
    runRound()
    expect(mapper.externalAddress).toEqual(ip('100.64.0.2'))
    for (const answer of [undefined, refusal(501), addressOf(''), addressOf('2001:db8::1')]) {
      addressAnswer = answer
      runRound()
      expect([mapper.externalAddress, ...ports()]).toEqual([undefined, PORT, 443])
    }
  })

  it('leaves PCP and NAT-PMP a head start, and what they mapped', () => {
    mapper.start(nowMs)
    expect(mapper.nextDeadlineMs()).toBe(1250)
    mapper.handleTimeout(1249, output)
    expect(output.sends).toEqual([])
    mappedElsewhere = new Set(['udp', 'tcp'])
    wake()
    expect([output.sends, mapper.nextDeadlineMs()]).toEqual([[], 1250 + RETRY_MS])
    mappedElsewhere = new Set(['udp'])
    runRound()
    expect(ports()).toEqual([undefined, 443])
  })

  it('searches three times, then waits for ten minutes', () => {
    mapper.start(nowMs)
    const times: number[] = []
    for (let i = 0; i < 5; i++) {
      const before = output.sends.length
      wake()
      if (output.sends.length === before + 2) times.push(nowMs)
    }
    expect(times).toEqual([1250, 1500, 2000, 1250 + 2500 + RETRY_MS])
    expect(output.requests).toEqual([])
  })

  it('renews at half of the life, with the port that it has, and drops what is not renewed', () => {
    mapper.start(nowMs)
    answerTo = (call) => (call === 'Add TCP 443 7200' ? refusal(718) : MAPPED)
    runRound()
    expect(ports()).toEqual([PORT, PORT])
    const mappedMs = nowMs
    expect(mapper.nextDeadlineMs()).toBe(mappedMs + HALF_LIFE_MS)
    // What holds a port keeps it, whatever is mapped by others meanwhile.
    mappedElsewhere = new Set(['udp'])
    calls = []
    runRound()
    expect(calls).toEqual(['GET /rootDesc.xml', 'Add UDP 40001 7200', 'Add TCP 40001 7200'])
    const renewedMs = nowMs
    const lostMs: number[] = []
    while (lostMs.length === 0) {
      wake()
      if (ports().every((port) => port === undefined)) lostMs.push(nowMs)
    }
    expect(lostMs).toEqual([renewedMs + 2 * HALF_LIFE_MS])
  })

  it('takes another external port where one is taken, and tries a few only', () => {
    mapper.start(nowMs)
    answerTo = () => refusal(718)
    runRound()
    expect(calls).toEqual([
      'GET /rootDesc.xml',
      'Add UDP 40001 7200',
      'Add UDP 20001 7200',
      'Add UDP 20003 7200',
      'Add TCP 443 7200',
      'Add TCP 40001 7200',
      'Add TCP 20001 7200',
      'Add TCP 20003 7200',
    ])
    expect(ports()).toEqual([undefined, undefined])
    expect(mapper.nextDeadlineMs()).toBe(nowMs + RETRY_MS)
  })

  it('takes a permanent lease where there are no others, renews it, and gives it back', () => {
    mapper.start(nowMs)
    answerTo = (call) => (call.endsWith('7200') ? refusal(725) : MAPPED)
    runRound()
    expect(calls.slice(1)).toEqual(['Add UDP 40001 7200', 'Add UDP 40001 0', 'Add TCP 443 0'])
    expect(mapper.nextDeadlineMs()).toBe(nowMs + HALF_LIFE_MS)
    for (let i = 0; i < 20; i++) wake()
    expect(ports()).toEqual([PORT, 443])
    calls = []
    mapper.stop(output)
    answerAll()
    expect(calls).toEqual(['Delete UDP 40001', 'Delete TCP 443'])
  })

  it('takes no further port where the router finds our own permanent mapping in the way', () => {
    mapper.start(nowMs)
    answerTo = (call) => (call.endsWith('7200') ? refusal(725) : MAPPED)
    runRound()
    answerTo = () => refusal(718)
    calls = []
    runRound()
    expect(calls).toEqual(['GET /rootDesc.xml', 'Add UDP 40001 7200', 'Add TCP 443 7200'])
    expect(ports()).toEqual([PORT, 443])
  })

  it('ends when even a permanent lease is refused as one that is not permanent', () => {
    mapper.start(nowMs)
    answerTo = () => refusal(725)
    runRound()
    expect(calls).toHaveLength(1 + 2 + 1)
  })

  it('asks the next service where one maps nothing at all', () => {
    const services = [['WANIPConnection:1', '/ip'] as const, ['WANPPPConnection:1', '/ppp'] as const]
    description = { status: 200, text: descriptionOf(services) }
    const asked: string[] = []
    mapper.start(nowMs)
    wake()
    hear()
    for (let request = output.requests.shift(); request !== undefined; request = output.requests.shift()) {
      asked.push(`${request.url.path} ${inShort(request)}`)
      const isPpp = request.url.path === '/ppp'
      mapper.handleAnswer(
        request.call === undefined ? description : isPpp ? MAPPED : refusal(501),
        nowMs,
        output,
      )
    }
    expect(asked.slice(1)).toEqual([
      '/ip Add UDP 40001 7200',
      '/ppp Add UDP 40001 7200',
      '/ip Add TCP 443 7200',
      '/ppp Add TCP 443 7200',
      '/ppp GetExternalIPAddress',
    ])
  })

  it('believes the router alone, and only while it searches', () => {
    mapper.start(nowMs)
    hear()
    expect(output.requests).toEqual([])
    wake()
    hear(searchAnswer(), '192.168.7.66')
    hear(searchAnswer('http://192.168.7.66/rootDesc.xml'))
    hear(new Uint8Array(0))
    expect(output.requests).toEqual([])
    hear()
    hear()
    expect(output.requests).toHaveLength(1)
  })

  it.each([
    ['no answer', undefined],
    ['an error', { status: 404, text: MINIUPNPD_DESCRIPTION }],
    [
      'a description that leads elsewhere',
      { status: 200, text: descriptionOf([['WANIPConnection:1', '//192.168.7.66/']]) },
    ],
    ['garbage', { status: 200, text: '\0'.repeat(1000) }],
  ])('asks for nothing, and again later, where the description is %s', (_, answer) => {
    description = answer
    mapper.start(nowMs)
    runRound()
    expect(calls).toEqual(['GET /rootDesc.xml'])
    expect(mapper.nextDeadlineMs()).toBe(nowMs + RETRY_MS)
  })

  it('asks no more of a router that falls silent', () => {
    mapper.start(nowMs)
    answerTo = () => undefined
    runRound()
    expect(calls).toEqual(['GET /rootDesc.xml', 'Add UDP 40001 7200'])
  })

  it('gives back what is granted after the end, and nothing that is not its own', () => {
    for (const [answer, expected] of [
      [MAPPED, ['Add UDP 40001 7200', 'Delete UDP 40001']],
      [refusal(718), ['Add UDP 40001 7200']],
      [undefined, ['Add UDP 40001 7200']],
    ] as const) {
      calls = []
      mapper = new UpnpMapper({
        gateway: ip(IGD_ADDRESS),
        ownAddress: ip('192.168.7.2'),
        port: PORT,
        suggestedPorts: { udp: PORT, tcp: 443 },
        isNeeded: () => true,
        random: (length) => new Uint8Array(length),
      })
      mapper.start(nowMs)
      wake()
      hear()
      output.requests.length = 0
      mapper.handleAnswer(description, nowMs, output)
      mapper.stop(output)
      answerTo = () => answer
      answerAll()
      expect(calls).toEqual(expected)
      expect(mapper.nextDeadlineMs()).toBe(Number.POSITIVE_INFINITY)
    }
  })
})
