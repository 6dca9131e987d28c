import { readFileSync } from 'node:fs'
import { expect, it } from 'vitest'
import { bootNowMs, wallNowMs } from '../../../src/platform/clock.js'

it('the boot clock is the time since boot that the kernel tells', () => {
  const before = bootNowMs()
  const kernelMs = 1000 * Number(readFileSync('/proc/uptime', 'utf8').split(' ')[0])
  const after = bootNowMs()
  expect(kernelMs).toBeGreaterThan(before - 20) // the kernel prints hundredths of a second
  expect(kernelMs).toBeLessThan(after + 20)
  expect(after).toBeGreaterThanOrEqual(before)
})

it('the boot clock tells fractions of a millisecond', () => {
  const samples = Array.from({ length: 20 }, () => bootNowMs())
  expect(samples.some((sample) => !Number.isInteger(sample))).toBe(true)
})

it('the wall clock is the time of day', () => {
  const before = Date.now()
  const wallMs = wallNowMs()
  expect(wallMs).toBeGreaterThanOrEqual(before)
  expect(wallMs).toBeLessThan(Date.now() + 1)
})
