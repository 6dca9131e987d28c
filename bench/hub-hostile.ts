/**
 * Strangers who mean harm, as a process of their own: so many connections a second to a hub, from a few sources,
 * of every kind that costs the hub something, each held for as long as the hub lets it.
 *
 *   node hub-hostile.js PORT HUB-KEY PER-SECOND
 */

import { randomBytes } from 'node:crypto'
import { connect, type Socket } from 'node:net'
import { connect as connectTls } from 'node:tls'
import { WebSocket } from 'ws'
import { identityFromSeed } from '../src/control/identity.js'
import { encodeMessage } from '../src/control/messages.js'
import { NoiseInitiator } from '../src/control/noise-nk.js'
import { signTunnelKey } from '../src/control/tunnel-key.js'
import { nodeCrypto } from '../src/wireguard/crypto-node.js'
import { type PublicKey, tryParseKeyBase64 } from '../src/wireguard/keys.js'

const SOURCES = 16
const REPORT_INTERVAL_MS = 1000
const [port = 0, , perSecond = 0] = process.argv.slice(2).map(Number)
const hubKey = tryParseKeyBase64<PublicKey>(process.argv[3] ?? '')
const random = (length: number): Uint8Array => new Uint8Array(randomBytes(length))
let held = 0

function dial(number: number): Socket {
  const socket = connect({ port, host: '127.0.0.1', localAddress: `127.6.6.${1 + (number % SOURCES)}` })
  held += 1
  socket.on('error', () => undefined)
  socket.once('close', () => {
    held -= 1
  })
  return socket
}

function upgrade(number: number, onOpen: (socket: WebSocket) => void): void {
  const socket = new WebSocket(`ws://127.0.0.1:${port}/control`, { createConnection: () => dial(number) })
  socket.on('error', () => undefined)
  socket.once('open', () => onOpen(socket))
}

/** A true handshake; then a hello that proves nothing, if `isSpeaking`. */
function shakeHands(number: number, isSpeaking: boolean): void {
  if (hubKey === undefined) return
  const initiator = NoiseInitiator.tryCreate(
    { crypto: nodeCrypto, random, prologue: 'overlay control v1' },
    hubKey,
  )
  if (initiator === undefined) return
  upgrade(number, (socket) => {
    socket.send(initiator.message)
    socket.once('message', (answer) => {
      const session = answer instanceof Buffer ? initiator.finish(answer) : undefined
      if (session === undefined || !isSpeaking) return
      const identity = identityFromSeed(random(32))
      const nowS = Math.floor(Date.now() / 1000)
      const terms = { number: 1, notBefore: nowS - 60, notAfter: nowS + 86_400 }
      const { publicKey } = nodeCrypto.dhPrivateKey(random(32))
      const localPrefixes = Array.from({ length: 64 }, (_, i) => `100.${64 + i}.0.0/16`)
      const proof = Buffer.from(random(64)).toString('base64')
      const tunnelKey = signTunnelKey(identity, publicKey, terms)
      const hello = {
        type: 'hello',
        version: 1,
        identity: identity.text,
        proof,
        tunnelKey,
        localPrefixes,
      } as const
      socket.send(session.seal(encodeMessage(hello)))
    })
  })
}

const KINDS: readonly ((number: number) => void)[] = [
  (number) => dial(number),
  (number) => dial(number).write('G'),
  (number) => dial(number).write(Uint8Array.of(0x16, 3, 1)),
  (number) => {
    const socket = connectTls({ socket: dial(number), rejectUnauthorized: false })
    socket.on('error', () => undefined)
  },
  (number) => dial(number).write(Uint8Array.of(4, 0)),
  (number) => upgrade(number, (socket) => socket.send(random(48))),
  (number) => shakeHands(number, false),
  (number) => shakeHands(number, true),
]

let made = 0
const startMs = performance.now()
setInterval(() => {
  const due = ((performance.now() - startMs) / 1000) * perSecond
  for (; made < due; made++) KINDS[made % KINDS.length]?.(Math.floor(made / KINDS.length))
}, 5)
setInterval(() => process.stdout.write(`${held}\n`), REPORT_INTERVAL_MS)
