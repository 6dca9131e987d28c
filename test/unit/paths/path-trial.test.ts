import { expect, it } from 'vitest'
import { WIDTH_PACE } from '../../../src/paths/known-paths.js'
import { PathTrial } from '../../../src/paths/path-trial.js'
import { seededRandom } from '../../support/seeded-random.js'

const RTT_MS = 40

/** How long until a path is taken for narrow; undefined if it is proven wide first, or nothing is found out in a minute. */
function untilNarrow(longLoss: number, shortLoss: number, random: () => number): number | undefined {
  const width = new PathTrial(WIDTH_PACE)
  for (let nowMs = 0; nowMs < 60_000 && !width.isProven; nowMs += 10) {
    const verdict = width.check(RTT_MS, nowMs)
    if (verdict === 'failed') return nowMs
    if (verdict !== 'ask') continue
    width.asked(nowMs)
    if (random() >= longLoss) width.handleAnswer(true)
    if (random() >= shortLoss) width.handleAnswer(false)
  }
  return undefined
}

function randomNumbers(): () => number {
  const bytes = seededRandom(5)
  return () => {
    const [a = 0, b = 0] = bytes(2)
    return (a * 256 + b) / 65_536
  }
}

it('a narrow path is found out by five questions where nothing is lost', () => {
  expect(untilNarrow(1, 0, randomNumbers())).toBe(1500)
})

it('a narrow path is found out also where a third is lost', () => {
  const random = randomNumbers()
  for (let i = 0; i < 100; i++) expect(untilNarrow(1, 0.36, random)).toBeLessThan(8000)
})

it('a wide one is hardly ever taken for narrow, though a third is lost', () => {
  const random = randomNumbers()
  const wrong = Array.from({ length: 2000 }, () => untilNarrow(0.36, 0.36, random))
  expect(wrong.filter((ms) => ms !== undefined).length).toBeLessThanOrEqual(2)
})

it('a path that answers nothing is not judged', () => {
  expect(untilNarrow(1, 1, randomNumbers())).toBeUndefined()
})
