/**
 * Every router of the laboratory is what it says it is: two probers that know nothing of each other, our own
 * survey and coturn's, must see the same NAT in it.
 */

import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { FamilyReport, NetcheckReport } from '../../src/daemon/netcheck.js'
import { HUB_ADDRESS, Internet } from '../../src/lab/internet.js'
import { LabNetwork } from '../../src/lab/network.js'
import type { RouterKind } from '../../src/lab/routers.js'
import type { Site, SiteOptions } from '../../src/lab/site.js'
import { until } from '../support/lab.js'
import { requirement } from '../support/requirement.js'

const OVERLAY = join(import.meta.dirname, '../../bin/overlay')
const INDEPENDENT = 'endpointIndependent'
const BY_ADDRESS = 'addressDependent'
const BY_PORT = 'addressAndPortDependent'
const ALL_PORTS = { kind: 'random', low: 1024, high: 65535 }

interface Claim {
  readonly mapping: 'none' | typeof INDEPENDENT | typeof BY_ADDRESS | typeof BY_PORT
  readonly filtering: typeof INDEPENDENT | typeof BY_ADDRESS | typeof BY_PORT
  readonly ports: object | null
  /** Null where there is nothing to turn packets round. */
  readonly hairpin: boolean | null
}

const cone = { mapping: INDEPENDENT, ports: null, hairpin: false } as const
const symmetric = { mapping: BY_PORT, filtering: BY_PORT, hairpin: false } as const
const CLAIMS: Readonly<Record<RouterKind, Claim>> = {
  open: { mapping: 'none', filtering: INDEPENDENT, ports: null, hairpin: null },
  fullCone: { ...cone, filtering: INDEPENDENT },
  addressRestricted: { ...cone, filtering: BY_ADDRESS },
  portRestricted: { ...cone, filtering: BY_PORT },
  answering: { ...cone, filtering: BY_PORT },
  addressDependent: { mapping: BY_ADDRESS, filtering: BY_ADDRESS, ports: ALL_PORTS, hairpin: false },
  symmetricRandom: { ...symmetric, ports: ALL_PORTS },
  symmetricSequential: { ...symmetric, ports: { kind: 'sequential', step: 1 } },
  carrierBlock: { ...symmetric, ports: { kind: 'random' } },
  carrierDouble: { ...cone, filtering: BY_PORT },
}
const CASES: readonly { name: string; kind: RouterKind; options: SiteOptions; claim: Claim }[] = [
  ...Object.entries(CLAIMS).map(([name, claim]) => ({
    name,
    kind: name as RouterKind,
    options: {},
    claim,
  })),
  {
    name: 'fullCone with hairpin',
    kind: 'fullCone',
    options: { hasHairpin: true },
    claim: { ...CLAIMS.fullCone, hairpin: true },
  },
]

requirement('routers', ['ip', 'nft', 'conntrack', 'turnutils_natdiscovery'], () => {
  let internet: Internet
  const sites = new Map<string, Site>()

  beforeAll(async () => {
    internet = await Internet.open({ rttMs: 0, lossPercent: 0 })
    // For its hub, which answers STUN at two ports of two addresses.
    await LabNetwork.start(internet)
    for (const { name, kind, options } of CASES) sites.set(name, internet.addSite(kind, options))
    for (const [name, { host }] of sites) {
      // A kernel tells of a new link late, and until then a machine does not list its address.
      await until(`${name} has a link`, () =>
        host.runSync('ip', '-br', 'link', 'show', 'eth0').includes(' UP '),
      )
    }
  })
  afterAll(() => internet?.close())

  function siteOf(name: string): Site {
    const site = sites.get(name)
    if (site === undefined) throw new Error(`there is no site ${name}`)
    return site
  }

  describe.concurrent('are what they claim to be, to both probers:', () => {
    test.each(CASES)('$name', async ({ name, kind, claim }) => {
      const site = siteOf(name)
      const seen = await ourSurvey(site)
      expect(seen).toMatchObject(claim)
      const outside = kind === 'open' ? site.address : site.outside
      expect(seen?.mapped).toMatch(new RegExp(`^${outside}:\\d+$`))
      const foreign = await foreignSurvey(site)
      const { mapping, filtering, hairpin } = claim
      // It has no answer of its own for a machine that meets itself without any router.
      const expected = { mapping, filtering, hairpin: hairpin ?? foreign.hairpin, outside }
      expect(foreign).toMatchObject(expected)
      expect(portsOutside(kind, [...foreign.ports, Number(seen?.mapped?.split(':')[1])])).toEqual([])
    })
  })

  // The survey cannot see it: an early packet takes the place of the one that is to open the way.
  test.each([
    ['answering', false],
    ['portRestricted', true],
  ] as const)('after a packet that nobody asked for, %s keeps the port: %s', async (name, isKept) => {
    const { host, outside } = siteOf(name)
    const port = await new Promise<number>((resolve, reject) => {
      const early = internet.hub.start([process.execPath, '-e', earlyBird(outside)], (line) => {
        if (line === 'sent') host.runSync(process.execPath, '-e', LATE)
        else resolve(Number(line))
      })
      early.once('exit', () => reject(new Error('nothing came')))
    })
    expect(port === INSIDE_PORT).toBe(isKept)
  })

  test('remember the flows of others behind them', async () => {
    const site = siteOf('symmetricSequential')
    internet.forget(site)
    const stop = internet.startFlows(site, 200)
    await until('there are many', async () => (await remembered(site)) > 400)
    stop()
  })
})

async function remembered({ router }: Site): Promise<number> {
  return Number((await router.run(['conntrack', '-C'])).stdout)
}

async function ourSurvey({ host }: Site): Promise<FamilyReport | null> {
  const { stdout } = await host.run([process.execPath, OVERLAY, 'netcheck', HUB_ADDRESS, '--json'])
  return (JSON.parse(stdout) as NetcheckReport).ipv4
}

interface ForeignSurvey {
  readonly mapping: string | undefined
  readonly filtering: string | undefined
  readonly hairpin: boolean
  /** Address and ports as which servers saw it. */
  readonly outside: string
  readonly ports: readonly number[]
}

/** Asks one thing at a time, all from ports of its own. */
async function foreignSurvey({ host, address }: Site): Promise<ForeignSurvey> {
  const ask = async (option: string): Promise<string> => {
    const words = ['timeout', '60', 'turnutils_natdiscovery', option, '-L', address, HUB_ADDRESS]
    const { stdout, stderr } = await host.run(words)
    return stdout + stderr
  }
  const [mapping, filtering, hairpin] = await Promise.all([ask('-m'), ask('-f'), ask('-H')])
  const seenIn = (text: string): RegExpExecArray[] => [...text.matchAll(/reflexive addr: ([\d.]+):(\d+)/g)]
  const seen = seenIn(`${mapping}${filtering}`)
  const [first, , third] = seenIn(mapping).map(([, , port]) => port)
  // Its third question goes to the other port of the first address, and it takes the answer for one from the second.
  const isByAddress = third !== undefined && first === third
  const dependence = classOf(mapping, 'Mapping')
  return {
    mapping: mapping.includes('No NAT!')
      ? 'none'
      : dependence === BY_PORT && isByAddress
        ? BY_ADDRESS
        : dependence,
    filtering: classOf(filtering, 'Filtering'),
    hairpin: hairpin.includes('Received a request'),
    outside: [...new Set(seen.map(([, outside]) => outside))].join(),
    ports: seen.map(([, , port]) => Number(port)),
  }
}

function classOf(text: string, what: 'Mapping' | 'Filtering'): string | undefined {
  const words = new RegExp(`NAT with (.*) Dependent ${what}!|NAT with (Endpoint Independent) ${what}!`)
  const [, dependent, independent] = words.exec(text) ?? []
  if (independent !== undefined) return INDEPENDENT
  if (dependent === undefined) return undefined
  return dependent === 'Address and Port' ? BY_PORT : BY_ADDRESS
}

/** Those that do not lie where the router takes them from. */
function portsOutside(kind: RouterKind, ports: readonly number[]): number[] {
  const [least, most] =
    kind === 'carrierBlock' ? [5120, 5631] : kind === 'symmetricSequential' ? [20_000, 22_047] : [1024, 65535]
  return ports.filter((port) => !(port >= least && port <= most))
}

const INSIDE_PORT = 6000
const EARLY_PORT = 5000
/** Sends to the outside of a router, and tells from which port of it an answer comes. */
function earlyBird(outside: string): string {
  return `const socket = require('node:dgram').createSocket('udp4')
    socket.on('message', (_, { port }) => { console.log(port); socket.close() })
    socket.bind(${EARLY_PORT}, '${HUB_ADDRESS}', () =>
      socket.send('early', ${INSIDE_PORT}, '${outside}', () => console.log('sent')))`
}
const LATE = `const socket = require('node:dgram').createSocket('udp4')
  socket.bind(${INSIDE_PORT}, () => socket.send('late', ${EARLY_PORT}, '${HUB_ADDRESS}', () => socket.close()))`
