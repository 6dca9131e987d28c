import { expect, test } from 'vitest'
import { chooseDataPlane } from '../../../src/daemon/choose-data-plane.js'
import { nodeCrypto } from '../../../src/wireguard/crypto-node.js'

const choose = (environment: NodeJS.ProcessEnv): unknown => chooseDataPlane(environment, nodeCrypto)

test.each([
  [{ OVERLAY_DATAPLANE: 'fast' }, 'OVERLAY_DATAPLANE cannot be "fast"', 'allowed: native, portable'],
  [{ OVERLAY_OFFLOADS: '' }, 'OVERLAY_OFFLOADS cannot be ""', 'allowed: on, off'],
  [{ OVERLAY_THREADS: '0' }, 'OVERLAY_THREADS cannot be "0"', 'allowed: 1 to 16'],
  [{ OVERLAY_THREADS: '1e1' }, 'OVERLAY_THREADS cannot be "1e1"', 'allowed: 1 to 16'],
  [{ OVERLAY_THREADS: '17' }, 'OVERLAY_THREADS cannot be "17"', 'allowed: 1 to 16'],
])('%j is refused with what is allowed', (environment, message, hint) => {
  expect(() => choose(environment)).toThrow(expect.objectContaining({ message, hint }))
})

test('a kernel of the AEAD that does not run here is refused with those that do', () => {
  expect(() => choose({ OVERLAY_AEAD: 'rot13' })).toThrow(
    expect.objectContaining({
      message: 'OVERLAY_AEAD cannot be "rot13"',
      hint: expect.stringMatching(/^allowed: .*scalar$/),
    }),
  )
  expect(choose({ OVERLAY_AEAD: 'scalar' })).toMatchObject({ hasOffloads: true })
})

test('super-packets are for the native plane alone, and not where they are switched off', () => {
  expect(choose({})).toMatchObject({ hasOffloads: true })
  expect(choose({ OVERLAY_OFFLOADS: 'off' })).toMatchObject({ hasOffloads: false })
  expect(choose({ OVERLAY_DATAPLANE: 'portable' })).toMatchObject({ hasOffloads: false })
})
