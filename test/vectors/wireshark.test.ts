/**
 * Wireshark's own WireGuard reads what we wrote: a capture of the known handshake and of one packet
 * each way, and a key log with private keys only. It computes everything between the two itself.
 */

import { execFileSync } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { concatBytes, formatBase64 } from '../../src/base/bytes.js'
import { nobleCrypto } from '../../src/wireguard/crypto-noble.js'
import { nodeCrypto } from '../../src/wireguard/crypto-node.js'
import { writeTransportHeader } from '../../src/wireguard/messages.js'
import { hex } from '../support/hex.js'
import { lackOf } from '../support/requirement.js'
import {
  INITIATOR_EPHEMERAL,
  type KnownHandshake,
  PRESHARED_KEY,
  RESPONDER_EPHEMERAL,
  runKnownHandshake,
} from './known-handshake.js'

const reason = lackOf('tshark')

const OUTER_I = hex('c0000201')
const OUTER_R = hex('c0000202')
const PORT = 51820

describe.skipIf(reason !== '').each([nobleCrypto, nodeCrypto])(
  `Wireshark reading what $name wrote${reason}`,
  (crypto) => {
    it('opens the static key, the timestamp, the response and packets both ways', () => {
      const known = runKnownHandshake(crypto)
      const initiator = formatBase64(known.initiator.publicKey)
      const responder = formatBase64(known.responder.publicKey)
      expect(dissect(captureOf(known), keyLogOf(known))).toEqual([
        // Wireshark does not take off the ten seconds of TAI.
        `1|${responder}|${initiator}|Nov 14, 2023 22:13:30.000000000 UTC|||192.0.2.1||`,
        `2|${initiator}|||1||192.0.2.2||`,
        '4|||||0|192.0.2.1,10.0.0.1|258|',
        '4|||||1|192.0.2.2,10.0.0.2|772|',
      ])
    })
  },
)

const FIELDS = [
  'wg.type',
  'wg.receiver_pubkey',
  'wg.static',
  'wg.timestamp.value',
  'wg.handshake_ok',
  'wg.counter',
  'ip.src',
  'icmp.seq',
  'wg.decryption_error',
]

/** One line per packet, its FIELDS separated by bars. */
function dissect(capture: Uint8Array, keyLog: string): string[] {
  const directory = mkdtempSync(join(tmpdir(), 'overlay-wireshark-'))
  try {
    const [captureFile, keyLogFile] = [join(directory, 'capture'), join(directory, 'keys')]
    writeFileSync(captureFile, capture)
    writeFileSync(keyLogFile, keyLog)
    const input = ['-n', '-r', captureFile, '-o', `wg.keylog_file:${keyLogFile}`]
    const output = ['-T', 'fields', '-E', 'separator=|', ...FIELDS.flatMap((field) => ['-e', field])]
    const text = execFileSync('tshark', [...input, ...output], {
      encoding: 'utf8',
      env: { ...process.env, TZ: 'UTC' },
      stdio: ['ignore', 'pipe', 'ignore'],
    })
    return text.trimEnd().split('\n')
  } finally {
    rmSync(directory, { recursive: true })
  }
}

function keyLogOf(known: KnownHandshake): string {
  const lines = [
    ['LOCAL_STATIC_PRIVATE_KEY', known.initiator.bytes],
    ['REMOTE_STATIC_PUBLIC_KEY', known.responder.publicKey],
    ['LOCAL_EPHEMERAL_PRIVATE_KEY', INITIATOR_EPHEMERAL],
    ['PRESHARED_KEY', PRESHARED_KEY],
    ['LOCAL_STATIC_PRIVATE_KEY', known.responder.bytes],
    ['REMOTE_STATIC_PUBLIC_KEY', known.initiator.publicKey],
    ['LOCAL_EPHEMERAL_PRIVATE_KEY', RESPONDER_EPHEMERAL],
    ['PRESHARED_KEY', PRESHARED_KEY],
  ] as const
  return lines.map(([name, key]) => `${name} = ${formatBase64(key)}\n`).join('')
}

/** A pcap of raw IP packets: the handshake, an echo request under it, an echo reply. */
function captureOf(known: KnownHandshake): Uint8Array {
  const request = ipv4(hex('0a000001'), hex('0a000002'), 1, hex('0800 f5fa 0001 0102 70696e67'))
  const reply = ipv4(hex('0a000002'), hex('0a000001'), 1, hex('0000 fdfa 0001 0304 70696e67'))
  const frames = [
    udp(OUTER_I, OUTER_R, known.initiation),
    udp(OUTER_R, OUTER_I, known.response),
    udp(OUTER_I, OUTER_R, transport(known.initiatorKeys.sendKey, 0xaabbccdd, 0, request)),
    udp(OUTER_R, OUTER_I, transport(known.responderKeys.sendKey, 0x11223344, 1, reply)),
  ]
  const fileHeader = hex('d4c3b2a1 0200 0400 00000000 00000000 ffff0000 65000000')
  return concatBytes(fileHeader, ...frames.flatMap((frame) => [recordHeader(frame.length), frame]))
}

function recordHeader(length: number): Uint8Array {
  const header = new DataView(new ArrayBuffer(16))
  header.setUint32(8, length, true)
  header.setUint32(12, length, true)
  return new Uint8Array(header.buffer)
}

function transport(key: Uint8Array, receiver: number, counter: number, packet: Uint8Array): Uint8Array {
  const length = Math.ceil(packet.length / 16) * 16
  const message = new Uint8Array(16 + length + 16)
  writeTransportHeader(message, 0, receiver, 0, counter)
  message.set(packet, 16)
  nodeCrypto.aead(key).sealInPlace(message, 16, length, 0, counter)
  return message
}

function udp(source: Uint8Array, destination: Uint8Array, payload: Uint8Array): Uint8Array {
  const header = new DataView(new ArrayBuffer(8))
  header.setUint16(0, PORT)
  header.setUint16(2, PORT)
  header.setUint16(4, 8 + payload.length)
  return ipv4(source, destination, 17, concatBytes(new Uint8Array(header.buffer), payload))
}

function ipv4(
  source: Uint8Array,
  destination: Uint8Array,
  protocol: number,
  payload: Uint8Array,
): Uint8Array {
  const header = new DataView(new ArrayBuffer(12))
  header.setUint8(0, 0x45)
  header.setUint16(2, 20 + payload.length)
  header.setUint8(8, 64)
  header.setUint8(9, protocol)
  return concatBytes(new Uint8Array(header.buffer), source, destination, payload)
}
