import { describe, expect, it } from 'vitest'
import { isLasting, type SystemChange, transitionOf } from '../../../src/daemon/system-change.js'

const ADDRESS: SystemChange = { kind: 'address', prefix: '10.0.0.1/24' }
const ROUTE: SystemChange = { kind: 'route', prefix: '10.1.0.0/16', table: 254 }
const OTHER_ROUTE: SystemChange = { kind: 'route', prefix: '10.2.0.0/16', table: 254 }
const DNS: SystemChange = { kind: 'dns', servers: ['10.0.0.53'], searchDomains: [] }

describe('the way from one state of the host to another', () => {
  it('is empty between equal states', () => {
    expect(transitionOf([ADDRESS, DNS], [{ ...ADDRESS }, { ...DNS }])).toEqual({ undo: [], apply: [] })
  })

  it('takes back newest first and applies in order, leaving alone what stays', () => {
    expect(transitionOf([ADDRESS, ROUTE, DNS], [ADDRESS, OTHER_ROUTE])).toEqual({
      undo: [DNS, ROUTE],
      apply: [OTHER_ROUTE],
    })
  })
})

describe('lasting changes', () => {
  it('are those that outlive the interface', () => {
    expect([ADDRESS, ROUTE, DNS].map(isLasting)).toEqual([false, false, true])
  })
})
