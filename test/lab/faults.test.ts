/** Networks that restrict, and networks that change: data flows in all of them. Times are printed, not judged. */

import { existsSync, readdirSync } from 'node:fs'
import { describe, expect, test } from 'vitest'
import { type FaultResult, measureRestrictions } from '../../src/lab/faults.js'
import {
  measureHubDeath,
  measureIdleRemoval,
  measureInterruptions,
  measureRelayDeath,
} from '../../src/lab/interruptions.js'
import { requirement } from '../support/requirement.js'

const OPTIONS = { rttMs: 40, lossPercent: 0 }

function print(results: readonly FaultResult[]): void {
  for (const { name, ms, how } of results) process.stdout.write(`${name}: ${ms} ms, ${how}\n`)
}

requirement('restricted and changing networks', ['ip', 'nft', 'conntrack', 'ping'], () => {
  describe('data flows', () => {
    test('where UDP, other ports, everything but TLS, or everything but a proxy is blocked', async () => {
      const results = await measureRestrictions(OPTIONS)
      print(results)
      expect(results.map(({ name, how }) => [name, how])).toEqual([
        ['UDP blocked', 'relay, TCP'],
        ['TCP 443 only', 'relay, TCP'],
        ['TLS 443 only', 'relay, WebSocket over TLS'],
        ['proxy only', 'relay, TCP through the proxy'],
        ['proxy with credentials only', 'relay, TCP through the proxy'],
      ])
      expect(results.filter(({ ms }) => ms === null)).toEqual([])
    })

    test('and the laboratory leaves nothing behind', () => {
      const id = process.pid.toString(36)
      const isOwn = (name: string): boolean => name.startsWith(`o${id}x`) || name.startsWith(`ovl${id}-`)
      const directories = [
        '/run/overlay',
        '/var/run/wireguard',
        '/var/log/overlay',
        '/var/lib/overlay',
        '/etc/netns',
      ]
      const left = directories.filter(existsSync).flatMap((directory) => readdirSync(directory))
      expect(left.filter(isOwn)).toEqual([])
    })

    test('on over another relay when one dies', async () => {
      const result = await measureRelayDeath(OPTIONS)
      print([result])
      expect(result).toMatchObject({ how: 'relay', ms: expect.any(Number) })
    })

    test('again after the network changed under it, and directly', async () => {
      const results = await measureInterruptions(OPTIONS)
      print(results)
      expect(results.filter(({ ms }) => ms === null)).toEqual([])
      expect(results.filter(({ name }) => name.endsWith('direct again')).map(({ how }) => how)).toEqual(
        Array(5).fill('punched'),
      )
      const cut = results.find(({ name }) => name === 'direct way cut while data flows')
      expect(cut?.how).toBe('relay')
    })

    test('no more for a node that is removed: it hears so, though its router has forgotten its connections', async () => {
      const result = await measureIdleRemoval(OPTIONS)
      print([result])
      expect(result).toMatchObject({ how: 'it knows' })
    })

    test('on without a hub, and between nodes that had no link before', async () => {
      const results = await measureHubDeath(OPTIONS, 3000)
      print(results)
      const [kept, answer] = results
      expect(kept).toMatchObject({ ms: expect.any(Number), how: 'punched' })
      expect(answer?.ms).toEqual(expect.any(Number))
    })
  })
})
