import { expect, it } from 'vitest'
import { mtuFromPaths } from '../../../src/config/mtu.js'

it.each([
  { endpoints: [], defaults: [], mtu: 1420 },
  { endpoints: [], defaults: [1400, 1500], mtu: 1420 },
  { endpoints: [1492, 1280], defaults: [9000], mtu: 1412 },
  { endpoints: [9000], defaults: [1500], mtu: 8920 },
  { endpoints: [1300], defaults: [], mtu: 1280 },
  { endpoints: [65536], defaults: [], mtu: 65456 },
  { endpoints: [4_000_000_000], defaults: [], mtu: 65456 },
])('the MTU over paths of $endpoints, by default $defaults, is $mtu', ({ endpoints, defaults, mtu }) => {
  expect(mtuFromPaths(endpoints, defaults)).toBe(mtu)
})
