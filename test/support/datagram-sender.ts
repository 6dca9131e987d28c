/**
 * Sends raw datagrams from a lab host to the WireGuard port of an address, at a rate that is kept up
 * when the sender has to wait for a CPU, but never many at once, so that most arrive.
 */

import type { Host, Lab } from './lab.js'
import { LISTEN_PORT } from './tunnel.js'

const ALL_RATE = 16_000 // datagrams a second
/** Datagrams a second: more than a device answers without asking for a cookie, and no mere lack of CPU. */
const FLOOD_RATE = 2000
const TIMEOUT_MS = 240_000

/** Reads length-prefixed datagrams from a file; an endless one starts again at the end. */
const SENDER = `
const [file, address, rate, isEndless] = process.argv.slice(1)
const bytes = require('fs').readFileSync(file)
const socket = require('dgram').createSocket('udp4')
const startMs = performance.now()
let at = 0
let sent = 0
function burst() {
  const due = Math.min((rate * (performance.now() - startMs)) / 1000 - sent, 64)
  for (let i = 0; i < due && at < bytes.length; i++) {
    const length = bytes.readUInt16LE(at)
    socket.send(bytes.subarray(at + 2, at + 2 + length), ${LISTEN_PORT}, address)
    at += 2 + length
    sent++
  }
  if (isEndless && at >= bytes.length) at = 0
  setTimeout(at < bytes.length ? burst : () => socket.close(), 2)
}
burst()
`

function command(lab: Lab, datagrams: Iterable<Uint8Array>, address: string): string[] {
  const parts: Uint8Array[] = []
  for (const datagram of datagrams) {
    const length = Buffer.alloc(2)
    length.writeUInt16LE(datagram.length)
    parts.push(length, datagram)
  }
  return ['node', '-e', SENDER, lab.file(Buffer.concat(parts)), address]
}

export async function sendDatagrams(
  lab: Lab,
  from: Host,
  datagrams: Iterable<Uint8Array>,
  address: string,
): Promise<void> {
  await from.run([...command(lab, datagrams, address), `${ALL_RATE}`], { timeoutMs: TIMEOUT_MS })
}

/** Sends them over and over until the lab closes. */
export function floodDatagrams(lab: Lab, from: Host, datagrams: Iterable<Uint8Array>, address: string): void {
  from.start([...command(lab, datagrams, address), `${FLOOD_RATE}`, 'endless'])
}
