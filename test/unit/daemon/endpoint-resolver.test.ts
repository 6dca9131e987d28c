import { describe, expect, it } from 'vitest'
import { resolveAll, resolveEndpoints, tryResolveEndpoints } from '../../../src/daemon/endpoint-resolver.js'
import { formatEndpoint } from '../../../src/net/endpoint.js'
import type { IpAddress } from '../../../src/net/ip.js'

function failWith(code: string): () => Promise<string[]> {
  return async () => {
    throw Object.assign(new Error(code), { code })
  }
}

const noSleep = async (): Promise<void> => undefined

describe('resolving endpoints', () => {
  it('asks no name server for addresses', async () => {
    const hosts = [
      { host: '192.0.2.1', port: 1 },
      { host: '2001:db8::1', port: 2 },
      { host: 'fe80::1%7', port: 3 },
    ]
    const found = await resolveEndpoints(hosts, { lookUp: failWith('ENOTFOUND') })
    expect([...found].map(([text, endpoint]) => [text, formatEndpoint(endpoint)])).toEqual([
      ['192.0.2.1:1', '192.0.2.1:1'],
      ['[2001:db8::1]:2', '[2001:db8::1]:2'],
      ['[fe80::1%7]:3', '[fe80::1%7]:3'],
    ])
  })

  it('asks once for a name that stands in several peers', async () => {
    const asked: string[] = []
    const lookUp = async (host: string): Promise<string[]> => {
      asked.push(host)
      return ['198.51.100.9']
    }
    const host = { host: 'a.example', port: 5 }
    const found = await resolveEndpoints([host, { ...host }], { lookUp })
    expect(asked).toEqual(['a.example'])
    expect(found.get('a.example:5')?.port).toBe(5)
  })

  it('names every host that does not exist, at once', async () => {
    const hosts = [
      { host: 'a.example', port: 1 },
      { host: 'b.example', port: 2 },
    ]
    const tried = resolveEndpoints(hosts, { lookUp: failWith('ENOTFOUND') })
    await expect(tried).rejects.toThrow(
      'cannot resolve a.example:1: there is no such name\ncannot resolve b.example:2: there is no such name',
    )
  })

  it('asks again, ever more slowly, while no name server answers, and gives up in the end', async () => {
    const waits: number[] = []
    let asked = 0
    const lookUp = async (): Promise<string[]> => {
      asked += 1
      return await failWith('EAI_AGAIN')()
    }
    const sleep = async (ms: number): Promise<void> => {
      waits.push(ms)
    }
    const delays: string[] = []
    const onDelay = (text: string): void => void delays.push(text)
    const tried = resolveEndpoints([{ host: 'a.example', port: 1 }], { lookUp, sleep, onDelay })
    await expect(tried).rejects.toThrow('no name server answered')
    expect(delays).toEqual(['no name server answers for a.example:1; asking again'])
    expect(asked).toBe(16)
    expect(waits).toHaveLength(15)
    expect(waits[0]).toBe(1000)
    expect(waits.every((wait, i) => i === 0 || wait > (waits[i - 1] ?? 0))).toBe(true)
  })

  it('puts addresses last to which there is no route, and keeps the order of the others', async () => {
    const lookUp = async (): Promise<string[]> => ['2001:db8::1', '192.0.2.4', '2001:db8::2', '192.0.2.5']
    const hasRoute = ({ family }: IpAddress): boolean => family === 4
    const host = { host: 'a.example', port: 1 }
    const all = await resolveAll(host, { lookUp, hasRoute })
    expect(all.map(formatEndpoint)).toEqual([
      '192.0.2.4:1',
      '192.0.2.5:1',
      '[2001:db8::1]:1',
      '[2001:db8::2]:1',
    ])
    const found = await resolveEndpoints([host], { lookUp, hasRoute: () => false })
    expect([...found.values()].map(formatEndpoint)).toEqual(['[2001:db8::1]:1'])
  })

  it('succeeds when the network comes late', async () => {
    let asked = 0
    const lookUp = async (): Promise<string[]> => {
      asked += 1
      return asked < 4 ? await failWith('EAI_AGAIN')() : ['192.0.2.4']
    }
    const found = await resolveEndpoints([{ host: 'a.example', port: 1 }], { lookUp, sleep: noSleep })
    expect(found.size).toBe(1)
  })

  it('ends at once when the start is given up, though the question is still out', async () => {
    const abort = new AbortController()
    const lookUp = async (): Promise<string[]> => await new Promise(() => undefined)
    const tried = resolveEndpoints([{ host: 'a.example', port: 1 }], { lookUp, signal: abort.signal })
    abort.abort()
    await expect(tried).rejects.toThrow('it was stopped')
  })
})

describe('a short look at names', () => {
  const hosts = [
    { host: 'a.example', port: 1 },
    { host: 'b.example', port: 2 },
    { host: 'c.example', port: 3 },
    { host: '192.0.2.9', port: 4 },
  ]

  it('gives what was found, and why the others were not', async () => {
    let answerLate: (addresses: string[]) => void = () => undefined
    const lookUp = async (host: string): Promise<string[]> => {
      if (host === 'a.example') return ['192.0.2.4']
      if (host === 'b.example') return await failWith('ENOTFOUND')()
      return await new Promise((resolve) => {
        answerLate = resolve
      })
    }
    const { endpoints, unresolved } = await tryResolveEndpoints(hosts, 5, { lookUp, hasRoute: () => true })
    answerLate(['192.0.2.5'])
    await new Promise(setImmediate)
    expect([...endpoints.keys()].toSorted()).toEqual(['192.0.2.9:4', 'a.example:1'])
    expect([...unresolved]).toEqual([
      ['b.example:2', 'there is no such name'],
      ['c.example:3', 'no name server answered'],
    ])
  })

  it('does not wait when all is answered, nor once the start is given up', async () => {
    const lookUp = async (): Promise<string[]> => ['192.0.2.4']
    const { unresolved } = await tryResolveEndpoints(hosts, 1e9, { lookUp, hasRoute: () => true })
    expect(unresolved.size).toBe(0)
    const never = async (): Promise<string[]> => await new Promise(() => undefined)
    const { endpoints } = await tryResolveEndpoints(hosts, 1e9, {
      lookUp: never,
      signal: AbortSignal.abort(),
    })
    expect([...endpoints.keys()]).toEqual(['192.0.2.9:4'])
  })
})
