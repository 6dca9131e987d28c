import { describe, expect, it } from 'vitest'
import type { Candidate } from '../../../src/paths/disco.js'
import type { OwnPosition } from '../../../src/paths/finder-types.js'
import { LifetimePlan } from '../../../src/paths/lifetime-plan.js'
import { prefixOf } from '../../support/control.js'
import { endpoint } from '../../support/simulated-nat.js'

/** Behind a NAT that shows this endpoint; none: no server has answered. */
function behind(outside: readonly [address: string, port: number] | undefined, more = {}): OwnPosition {
  const candidates: Candidate[] =
    outside === undefined ? [] : [{ kind: 'reflexive', endpoint: endpoint(...outside) }]
  return {
    sockets: { v4: 1, v6: undefined },
    candidates,
    prefixes: [prefixOf('192.168.1.2/24')],
    isOverlay: () => false,
    mapping: 'endpointIndependent',
    ports: [0, 0],
    lifetimeMs: undefined,
    maxSessions: undefined,
    isSequential: false,
    isStunDropped: false,
    wideBytes: 1452,
    stunServer: undefined,
    ...more,
  }
}

const HOME = behind(['203.0.113.1', 40_000])

/** At home, and 110 s were found. */
function learnt(): LifetimePlan {
  const plan = new LifetimePlan()
  plan.need()
  expect(plan.setPosition(HOME)).toBe(true)
  expect(plan.takeStart(0)).toBe(true)
  plan.finished(110_000)
  return plan
}

describe('learning the lifetime of mappings', () => {
  it('begins when a path goes over the NAT, once', () => {
    const plan = new LifetimePlan()
    plan.setPosition(HOME)
    expect(plan.takeStart(0)).toBe(false)
    plan.need()
    expect([plan.takeStart(0), plan.takeStart(1e9)]).toEqual([true, false])
    plan.finished(60_000)
    expect([plan.lifetimeMs, plan.takeStart(2e9)]).toEqual([60_000, false])
  })

  it('does not begin without a NAT, or before it was seen', () => {
    const plan = new LifetimePlan()
    plan.need()
    plan.setPosition(behind(undefined))
    expect(plan.takeStart(0)).toBe(false)
    plan.setPosition(behind(['203.0.113.1', 40_000], { mapping: 'none' }))
    expect(plan.takeStart(0)).toBe(false)
  })

  it('is not tried again where it could not be found out', () => {
    const plan = new LifetimePlan()
    plan.need()
    plan.setPosition(HOME)
    plan.takeStart(0)
    plan.finished(undefined)
    expect([plan.lifetimeMs, plan.takeStart(1e9)]).toEqual([undefined, false])
  })

  it('is remembered of a place that was left, and does not hold elsewhere', () => {
    const plan = learnt()
    const away = behind(['198.51.100.9', 1024], { prefixes: [prefixOf('10.0.0.2/8')] })
    expect([plan.setPosition(away), plan.lifetimeMs]).toEqual([true, undefined])
    expect(plan.takeStart(1e6)).toBe(true)
    expect([plan.setPosition(behind(['203.0.113.1', 41_111])), plan.lifetimeMs]).toEqual([true, 110_000])
    expect(plan.takeStart(2e6)).toBe(false)
  })

  it('is forgotten when the NAT maps the same socket elsewhere, and begins anew after a while', () => {
    const plan = learnt()
    expect([plan.setPosition(behind(['203.0.113.1', 40_001])), plan.lifetimeMs]).toEqual([true, undefined])
    expect([plan.takeStart(599_999), plan.takeStart(600_000)]).toEqual([false, true])
  })

  it('holds while servers are silent, and while nothing changes', () => {
    const plan = learnt()
    expect(plan.setPosition(behind(undefined))).toBe(false)
    expect(plan.setPosition(behind(['203.0.113.1', 40_000]))).toBe(false)
    expect(plan.lifetimeMs).toBe(110_000)
  })
})
