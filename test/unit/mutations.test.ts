/** Our own parsers under inputs that are almost right: each gives nothing, or something that it could have said. */

import { readFileSync } from 'node:fs'
import { connect } from 'node:net'
import { join } from 'node:path'
import { encode } from 'dns-packet'
import { describe, expect, it } from 'vitest'
import { concatBytes, formatBase64, tryParseBase64 } from '../../src/base/bytes.js'
import { AppError } from '../../src/base/errors.js'
import { parseConfigWithWarnings } from '../../src/config/parse.js'
import { UapiRequestParser } from '../../src/config/uapi-request.js'
import { type RelayMessage, relayMessage } from '../../src/control/directory.js'
import { formatJoinToken, parseJoinToken } from '../../src/control/join-token.js'
import {
  encodeMessage,
  type HubMessage,
  hubMessage,
  type NodeMessage,
  nodeMessage,
  tryDecodeMessage,
} from '../../src/control/messages.js'
import { Netmap } from '../../src/control/netmap.js'
import { Pins } from '../../src/control/pins.js'
import { createTicket, tryOpenTicket } from '../../src/control/ticket.js'
import { formatBackup, parseBackup } from '../../src/daemon/backup-file.js'
import { createCertificate } from '../../src/hub/io/certificate.js'
import { FrontDoor } from '../../src/hub/io/front-door.js'
import { answerStun } from '../../src/hub/stun-answer.js'
import { answerDns, failDns } from '../../src/names/zone.js'
import type { Endpoint } from '../../src/net/endpoint.js'
import { encodeDisco, tryDecodeDisco } from '../../src/paths/disco.js'
import { PortMapper } from '../../src/paths/port-mapper.js'
import {
  changeRequest,
  decodeStun,
  encodeBindingAnswer,
  encodeBindingRequest,
  encodeResponsePortRequest,
  errorCode,
  hasFingerprint,
  mappedEndpoint,
  otherEndpoint,
  responsePort,
} from '../../src/paths/stun.js'
import { mappingServices, readMappingOutcome, tryReadLocation } from '../../src/paths/upnp.js'
import { decodeDirect, decodeTrain, encodeFrame, FRAME, FRAME_HEADER_BYTES } from '../../src/relay/frames.js'
import {
  decodeSessionFrame,
  encodeSessionFrame,
  isControlMessage,
  type SessionFrame,
} from '../../src/relay/session-frames.js'
import { nobleCrypto } from '../../src/wireguard/crypto-noble.js'
import { nodeCrypto } from '../../src/wireguard/crypto-node.js'
import { helloOf, infoOf, prefixOf, previousKeyOf, testNode, WALL_MS } from '../support/control.js'
import { countingBytes } from '../support/hex.js'
import { IDENTITY, RELAY } from '../support/hub-world.js'
import { ip } from '../support/inner-packets.js'
import { forMutatedBytes, forMutatedTexts } from '../support/mutations.js'
import { endpoint } from '../support/simulated-nat.js'

const PREFIX6 = prefixOf('fd12:3456:789a::/48')
const ALICE = testNode(2)
const utf8 = (text: string): Uint8Array => new TextEncoder().encode(text)

const NODE_MESSAGES: readonly NodeMessage[] = [
  helloOf(ALICE, { secret: formatBase64(countingBytes(16)), name: 'alice', localPrefixes: ['10.0.0.0/8'] }),
  { type: 'update', tunnelKey: ALICE.tunnelKey, previousTunnelKey: previousKeyOf(ALICE) },
  { type: 'update', relayRtts: { [RELAY.key]: 12 } },
  { type: 'signal', to: ALICE.identity.text, body: 'Ym9keQ==' },
  { type: 'consent', identity: ALICE.identity.text, isGiven: true },
  { type: 'ping' },
]
const NODES: HubMessage = {
  type: 'nodes',
  changed: [2, 3, 4].map((number) => infoOf(testNode(number), PREFIX6, { name: `n${number}` })),
  removed: [testNode(5).identity.text],
  isComplete: true,
}
const HUB_MESSAGES: readonly HubMessage[] = [
  NODES,
  { type: 'asking', changed: [{ identity: ALICE.identity.text, name: 'a', direction: 'ours' }], removed: [] },
  { type: 'signal', from: ALICE.identity.text, body: 'Ym9keQ==' },
  { type: 'refused', code: 'elsewhere', message: 'm', hint: 'h', retryAfterS: 5 },
]

const RELAY_MESSAGES: readonly RelayMessage[] = [
  { type: 'relayWelcome', network: 'home', ticketKey: IDENTITY.text },
  {
    type: 'directory',
    epoch: 7,
    atS: 8,
    isFirst: true,
    needsConsent: true,
    changed: [{ identity: ALICE.identity.text, tags: [0, 3] }],
    removed: [testNode(3).identity.text],
    agreed: [[ALICE.identity.text, testNode(3).identity.text]],
    parted: [],
  },
  { type: 'beat', atS: 9, change: { key: RELAY.key, untilS: 10 } },
]
const IDENTITY_BYTES = ALICE.identity.publicKey
const INITIATION = concatBytes(Uint8Array.of(1, 0, 0, 0), countingBytes(144))
const SESSION_FRAMES: readonly SessionFrame[] = [
  { kind: 'proof', identity: IDENTITY_BYTES, signature: countingBytes(64), ticket: countingBytes(112) },
  { kind: 'welcome', megabits: 100, observed: endpoint('192.0.2.1', 51_820) },
  { kind: 'refused', reason: 'ticket' },
  { kind: 'ping', payload: countingBytes(8) },
  { kind: 'open', number: 71, identity: IDENTITY_BYTES },
  { kind: 'closed', number: 71, reason: 'idle' },
  { kind: 'message', number: 902, message: INITIATION },
  { kind: 'limited', dropped: 12 },
  { kind: 'ticket', ticket: new Uint8Array(112) },
]

describe('inputs that are almost right', () => {
  it.each([
    ['a node', NODE_MESSAGES, nodeMessage],
    ['a hub', HUB_MESSAGES, hubMessage],
    ['a hub to a relay', RELAY_MESSAGES, relayMessage],
  ] as const)('as messages of %s are none, or can be said again', (_who, messages, schema) => {
    type Any = NodeMessage | HubMessage | RelayMessage
    forMutatedBytes(messages.map(encodeMessage), (bytes) => {
      const message = tryDecodeMessage<Any>(schema, bytes)
      if (message === undefined) return
      expect(tryDecodeMessage<Any>(schema, encodeMessage(message))).toEqual(message)
    })
  })

  it('are no frames of a relay session, or can be said again', () => {
    forMutatedBytes(SESSION_FRAMES.map(encodeSessionFrame), (bytes) => {
      const frame = decodeSessionFrame(bytes)
      if (frame === undefined) return
      expect(decodeSessionFrame(encodeSessionFrame(frame))).toEqual(frame)
      if (frame.kind === 'message') isControlMessage(frame.message)
    })
  })

  it('are no trains of a relay, or of segments within what came', () => {
    const messages = [1, 2, 3].map((last) => concatBytes(Uint8Array.of(4, 0, 0, 0), countingBytes(60, last)))
    const numbered = concatBytes(Uint8Array.of(0, 0, 0, 71), Uint8Array.of(0, 64), ...messages)
    const frames = [
      encodeFrame(FRAME.data, concatBytes(Uint8Array.of(0, 0, 0, 71), messages[0] ?? new Uint8Array())),
      encodeFrame(FRAME.batch, numbered),
      encodeFrame(FRAME.direct, numbered.subarray(4)),
    ]
    forMutatedBytes(frames, (bytes) => {
      const frame = { type: bytes[0] ?? 0, bytes }
      if (bytes.length < FRAME_HEADER_BYTES) return
      for (const train of [decodeTrain(frame), decodeDirect(frame)]) {
        if (train === undefined) continue
        expect(train.segmentBytes).toBeGreaterThan(0)
        expect(train.messages.length).toBeLessThanOrEqual(bytes.length)
      }
    })
  })

  it('are no backups', () => {
    const store = countingBytes(64)
    const files = { 'hub.key': 'secret', 'hub.json': '{}' }
    const text = formatBackup({ createdAt: '2030-01-01T00:00:00.000Z', network: 'home', files, store })
    forMutatedTexts([text], (input) => {
      try {
        // White space around or within the JSON says nothing.
        expect(formatBackup(parseBackup(input, 'f'))).toBe(text)
      } catch (error) {
        expect(error).toBeInstanceOf(AppError)
      }
    })
  })

  it('as questions for names are answered, passed on, or nothing', () => {
    const zone = { network: 'home', nodes: () => [{ name: 'bob', v4: ip('100.64.0.2'), v6: ip('fd00::2') }] }
    const questions = (['A', 'AAAA', 'PTR', 'TXT'] as const).map((type) =>
      encode({
        type: 'query',
        id: 7,
        flags: 256,
        questions: [{ type, name: type === 'PTR' ? '2.0.64.100.in-addr.arpa' : 'bob.home.overlay' }],
      }),
    )
    forMutatedBytes(questions, (bytes) => {
      const outcome = answerDns(Buffer.from(bytes), zone)
      expect(['answer', 'forward', 'ignore']).toContain(outcome.kind)
      failDns(Buffer.from(bytes))
    })
  })

  it('bring no node into a netmap that did not sign its key, nor an address of another', () => {
    const genuine = new Map([2, 3, 4].map((number) => [testNode(number).identity.text, testNode(number)]))
    forMutatedBytes([encodeMessage(NODES)], (bytes) => {
      const message = tryDecodeMessage(hubMessage, bytes)
      if (message?.type !== 'nodes') return
      const netmap = new Netmap({
        crypto: nobleCrypto,
        prefix4: prefixOf('100.64.0.0/16'),
        prefix6: PREFIX6,
        pins: new Pins(),
        ownIdentity: testNode(1).identity.text,
        wallNowMs: () => WALL_MS,
        isWelcome: () => true,
      })
      netmap.apply(message)
      for (const { identity, tunnelKey } of netmap.nodes) {
        const expected = genuine.get(identity)?.tunnelKey.key
        expect(formatBase64(tunnelKey)).toBe(expected)
      }
    })
  })

  it('are no tickets', () => {
    const owner = ALICE.identity.publicKey
    const ticket = createTicket(IDENTITY, owner, { issuedAtS: WALL_MS / 1000, epoch: 7 })
    forMutatedBytes([ticket], (bytes) => {
      const isSame = formatBase64(bytes) === formatBase64(ticket)
      expect(tryOpenTicket(IDENTITY.publicKey, bytes, owner) !== undefined).toBe(isSame)
    })
  })

  it('are no join tokens, or whole ones', () => {
    const hub = { host: 'hub.example.org', port: 443 }
    const { publicKey: hubKey } = nodeCrypto.dhPrivateKey(countingBytes(32, 9))
    const secret = formatBase64(countingBytes(16))
    const whole = formatJoinToken(nodeCrypto, { hub, hubKey, network: 'home', secret })
    const check = (text: string): void => {
      try {
        const token = parseJoinToken(nodeCrypto, text)
        expect(parseJoinToken(nodeCrypto, formatJoinToken(nodeCrypto, token))).toEqual(token)
      } catch (error) {
        if (!(error instanceof AppError)) throw error
        expect(error.message).not.toContain(secret)
      }
    }
    forMutatedTexts([whole], check)
    // With a right checksum over wrong fields.
    const base64 = whole.slice(5).replaceAll('-', '+').replaceAll('_', '/')
    const bytes = tryParseBase64(base64.padEnd(Math.ceil(base64.length / 4) * 4, '='))
    const fields = new TextDecoder().decode(bytes?.subarray(0, -4))
    expect(fields).toContain('hub.example.org')
    forMutatedTexts([fields], (text) => {
      const body = utf8(text)
      const signed = formatBase64(concatBytes(body, nodeCrypto.hash(body).subarray(0, 4)))
      check(`ovl1_${signed.replaceAll('+', '-').replaceAll('/', '_').replaceAll('=', '')}`)
    })
  })

  it('are no probes, or can be said again', () => {
    const transactionId = countingBytes(12)
    const observed = endpoint('203.0.113.1', 4660)
    const messages = [
      encodeDisco({ kind: 'ping', transactionId, sizeBytes: 0 }),
      encodeDisco({ kind: 'pong', transactionId, observed, run: 7, received: 0 }),
      encodeDisco({
        kind: 'call',
        timestamp: countingBytes(12, 64),
        mapping: 'addressAndPortDependent',
        isSequential: true,
        isLost: false,
        triesTcp: true,
        isSearching: false,
        ports: [5120, 5631],
        candidates: [
          { kind: 'local', endpoint: endpoint('192.168.1.2', 40_000) },
          { kind: 'tcp', endpoint: endpoint('2001:db8::7', 443) },
        ],
      }),
    ]
    forMutatedBytes(messages, (bytes) => {
      const message = tryDecodeDisco(bytes, bytes.length)
      if (message !== undefined) tryDecodeDisco(encodeDisco(message), bytes.length)
    })
  })

  it('are no STUN, or questions that are answered to whoever asks, with no more than they are', () => {
    const from = endpoint('192.0.2.1', 5000)
    const here = [3478, 3479].map((port): Endpoint => endpoint('198.51.100.1', port))
    const [to] = here
    if (to === undefined) throw new Error('nowhere')
    const id = countingBytes(12)
    const examples = [
      encodeBindingRequest(id),
      encodeBindingRequest(id, { address: false, port: true }),
      encodeResponsePortRequest(id, 6000),
      encodeBindingAnswer({ transactionId: id, mapped: from, other: to }),
    ]
    forMutatedBytes(examples, (bytes) => {
      const message = decodeStun(bytes)
      if (message === undefined) return
      for (const read of [changeRequest, responsePort, mappedEndpoint, otherEndpoint, errorCode])
        read(message)
      hasFingerprint(message)
      const answer = answerStun(bytes, from, to, here)
      if (answer === undefined) return
      expect(answer.to.address).toEqual(from.address)
      if (answer.to.port !== from.port) expect(answer.bytes.length).toBeLessThanOrEqual(bytes.length)
    })
  })

  it('are no mapping of a router, or one at a port', () => {
    const gateway = endpoint('192.168.1.1', 5351)
    const answers = [
      '0281000000000e1000000007000000000000000000000000101112131415161718191a1b110000009c419c4100000000000000000000ffffc6336405',
      '0081000000000007c6336405'.padEnd(24, '0'),
      '00810000000000079c419c4100000e10',
    ].map((text) => new Uint8Array(Buffer.from(text, 'hex')))
    forMutatedBytes(answers, (bytes) => {
      const mapper = new PortMapper({
        gateway: gateway.address,
        ownAddress: ip('192.168.1.2'),
        protocol: 'udp',
        port: 0x9c41,
        suggestedPort: 0x9c41,
        nonce: countingBytes(12, 0x10),
      })
      mapper.start(0, [])
      mapper.handleDatagram(gateway, bytes, 1)
      const { externalPort } = mapper
      if (externalPort !== undefined) expect(externalPort).toBeGreaterThan(0)
    })
  })

  it('lead to no other machine than the router', () => {
    const router = ip('192.168.1.1')
    const found =
      'HTTP/1.1 200 OK\r\nST: urn:schemas-upnp-org:device:InternetGatewayDevice:1\r\nLOCATION: http://192.168.1.1:5000/root.xml\r\n\r\n'
    const url = tryReadLocation(utf8(found), router)
    if (url === undefined) throw new Error('no location')
    forMutatedTexts([found], (text) => {
      const location = tryReadLocation(utf8(text), router)
      if (location !== undefined) expect(location.port).toBeLessThan(65_536)
    })
    const kind = 'urn:schemas-upnp-org:service:WANIPConnection:1'
    const page = `<root><URLBase>http://192.168.1.1:5000</URLBase><service><serviceType>${kind}</serviceType><controlURL>/ctl</controlURL></service></root>`
    forMutatedTexts([page], (text) => {
      for (const service of mappingServices(text, url, router)) expect(service).toBeDefined()
    })
    const fault = '<s:Fault><detail><UPnPError><errorCode>718</errorCode></UPnPError></detail></s:Fault>'
    forMutatedTexts([fault], (text) => {
      readMappingOutcome({ status: 500, text })
      readMappingOutcome({ status: 200, text })
    })
  })

  it('are files with faults that are told, or tunnels', () => {
    const examples = ['example.conf', 'demo-a.conf'].map((name) =>
      readFileSync(join(import.meta.dirname, '../../configs', name), 'utf8'),
    )
    forMutatedTexts(examples, (text) => {
      try {
        parseConfigWithWarnings(text, 'x.conf')
      } catch (error) {
        if (!(error instanceof AppError)) throw error
      }
    })
  })

  it('are requests of the UAPI that are refused, or settings', () => {
    const key = '42'.repeat(32)
    const set = `set=1\nprivate_key=${key}\nlisten_port=51820\npublic_key=${key}\nendpoint=[2001:db8::1]:51820\nallowed_ip=10.0.0.0/8\n\nget=1\n\n`
    forMutatedTexts([set], (text) => {
      const parser = new UapiRequestParser(() => 0)
      const requests = parser.push(utf8(text))
      for (const request of requests) expect(request).toHaveProperty('kind')
    })
  })
})

it('the door stands whatever the first bytes are', async () => {
  const door = await FrontDoor.open({
    host: '127.0.0.1',
    port: 0,
    certificate: createCertificate('mutations'),
    onRelay: (stream) => stream.abort(),
    onControl: (socket) => socket.terminate(),
    stepTimeoutMs: 50,
  })
  const openings = [
    'GET / HTTP/1.1\r\nHost: x\r\n\r\n',
    'GET /control HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n',
    'POST /relay HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nhello',
    '\x16\x03\x01\x00\x05hello',
    '\x00\x01\x00\x00!\x12\xa4B012345678901',
    '\x04\x00\x02ab',
  ]
  const inputs: string[] = []
  forMutatedTexts(openings, (text) => inputs.push(text))
  const ends = inputs
    .filter((_, i) => i % 9 === 0)
    .map(
      async (text) =>
        await new Promise<void>((resolve) => {
          const socket = connect(door.port, '127.0.0.1', () => socket.write(Buffer.from(text, 'latin1')))
          socket.on('error', () => undefined)
          socket.resume()
          socket.once('close', () => resolve())
        }),
    )
  await Promise.all(ends)
  await expect.poll(() => door.strangers).toBe(0)
  await door.close()
})
