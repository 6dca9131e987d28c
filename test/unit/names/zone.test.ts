import { decode, encode, type Question } from 'dns-packet'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { answerDns, failDns, type Zone, zoneDomain } from '../../../src/names/zone.js'
import { ip } from '../../support/inner-packets.js'

const ZONE: Zone = {
  network: 'home',
  nodes: () => [{ name: 'planner', v4: ip('100.64.1.2'), v6: ip('fd12:3456:789a::7') }],
}

function ask(name: string, type: Question['type']) {
  return answerDns(
    encode({ type: 'query', id: 7, flags: 0x100, questions: [{ type, name, class: 'IN' }] }),
    ZONE,
  )
}

function answersOf(name: string, type: Question['type']): unknown {
  const outcome = ask(name, type)
  if (outcome.kind !== 'answer') return outcome.kind
  const packet = decode(Buffer.from(outcome.bytes))
  const code = (packet.flags ?? 0) & 15
  expect([packet.id, (packet.flags ?? 0) & 0x100, packet.questions]).toMatchObject([
    7,
    0x100,
    [{ name, type }],
  ])
  return code === 0 ? packet.answers?.map((answer) => ('data' in answer ? answer.data : '')) : code
}

describe('the zone of a network', () => {
  it('leads from names to addresses, in whatever case', () => {
    expect(zoneDomain('home')).toBe('home.overlay')
    expect(answersOf('planner.home.overlay', 'A')).toEqual(['100.64.1.2'])
    expect(answersOf('Planner.HOME.overlay', 'AAAA')).toEqual(['fd12:3456:789a::7'])
    expect(answersOf('planner.home.overlay', 'TXT')).toEqual([])
    expect(answersOf('home.overlay', 'A')).toEqual([])
    expect(answersOf('nobody.home.overlay', 'A')).toBe(3)
    expect(answersOf('a.planner.home.overlay', 'A')).toBe(3)
  })

  it('leads back', () => {
    expect(answersOf('2.1.64.100.in-addr.arpa', 'PTR')).toEqual(['planner.home.overlay'])
    const reversed = '7.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.a.9.8.7.6.5.4.3.2.1.d.f.ip6.arpa'
    expect(answersOf(reversed, 'PTR')).toEqual(['planner.home.overlay'])
    expect(answersOf('9.9.9.9.in-addr.arpa', 'PTR')).toBe('forward')
  })

  it('leaves everything else to others', () => {
    expect(answersOf('example.org', 'A')).toBe('forward')
    expect(answersOf('xhome.overlay', 'A')).toBe('forward')
    expect(answersOf('planner.work.overlay', 'A')).toBe('forward')
  })

  it('answers no answers, no other operations, and no garbage', () => {
    const question = { type: 'A' as const, name: 'planner.home.overlay' }
    expect(answerDns(encode({ type: 'response', questions: [question] }), ZONE).kind).toBe('ignore')
    expect(answerDns(encode({ type: 'query', flags: 0x2800, questions: [question] }), ZONE).kind).toBe(
      'ignore',
    )
    expect(answerDns(encode({ type: 'query', questions: [] }), ZONE).kind).toBe('ignore')
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 600 }), (bytes) => {
        expect(['answer', 'forward', 'ignore']).toContain(answerDns(Buffer.from(bytes), ZONE).kind)
        failDns(Buffer.from(bytes))
      }),
    )
  })

  it('says that it cannot forward', () => {
    const query = encode({ type: 'query', id: 9, questions: [{ type: 'A', name: 'example.org' }] })
    const answer = failDns(query)
    expect((decode(Buffer.from(answer ?? [])).flags ?? 0) & 15).toBe(5)
    expect(failDns(Buffer.alloc(3))).toBeUndefined()
  })
})
