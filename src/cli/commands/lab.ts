/** `overlay lab`: an internet on this machine, with NATs of every kind, to see what gets through. */

import { UsageError } from '../../base/errors.js'
import { tryParseInteger } from '../../config/values.js'
import type { RouterKind } from '../../lab/routers.js'
import type { MappingProtocol } from '../../lab/site.js'
import type { Command, CommandInput } from '../command.js'
import { printJson, printLine, printNote } from '../output.js'
import { formatTable } from '../units.js'

const DEFAULT_PAIRS = [
  'open portRestricted',
  'fullCone fullCone',
  'addressRestricted portRestricted',
  'portRestricted portRestricted',
  'carrierDouble portRestricted',
  'symmetricRandom fullCone',
]

export const lab: Command = {
  name: 'lab',
  positionals: '[words..]',
  about: 'try pairs of NATs in network namespaces; needs root, ip, nft and conntrack',
  options: {
    tries: { about: 'for each pair', value: '5' },
    rtt: { about: 'round trip across the internet, in ms', value: '40' },
    loss: { about: 'packets lost on the way, in percent', value: '0' },
    mapping: {
      about: 'by which the left router maps ports: nat-pmp or upnp; needs miniupnpd',
      value: 'protocol',
    },
    flows: { about: 'of others behind the right router, a second', value: '0' },
    long: { about: 'bench, faults: also with a hub that is dead for ten minutes' },
    v6: { about: 'with IPv6 behind a stateful firewall' },
  },
  examples: [
    ['sudo overlay lab', 'the easy pairs'],
    ['sudo overlay lab matrix --tries 2', 'each kind with each; takes a quarter of an hour'],
    ['sudo overlay lab bench', 'all that must be reached, with its aim'],
    ['sudo overlay lab bench --long', 'and ten minutes without a hub'],
    ['sudo overlay lab faults', 'networks that restrict, and networks that change'],
    ['sudo overlay lab portRestricted symmetricRandom --tries 20', 'one pair'],
  ],
  async run(input) {
    const { words, output } = input
    // Parts of a laboratory run as programs of their own inside it.
    if (words[0] === 'delay') return await runDelay(words)
    if (words[0] === 'proxy') return await runProxy(words)
    if (words[0] === 'flows') return await runFlows(words)
    if (words[0] === 'faults') return await runFaults(input)
    if (words[0] === 'bench') return await runBench(input)
    const { measurePair, PAIR_COLUMNS, pairRow } = await import('../../lab/matrix.js')
    const options = {
      tries: numberOf(input, 'tries', 5, 1),
      rttMs: numberOf(input, 'rtt', 40, 0),
      lossPercent: numberOf(input, 'loss', 0, 0),
      hasV6: input.has('v6'),
      mapping: await mappingOf(input.value('mapping')),
      foreignFlowsPerS: numberOf(input, 'flows', 0, 0),
    }
    const { ROUTER_WORDS } = await import('../../lab/routers.js')
    const pairs = await pairsOf(words)
    const results = []
    for (const [left, right] of pairs) {
      if (!output.isJson) printNote(`${ROUTER_WORDS[left]} × ${ROUTER_WORDS[right]} …`)
      results.push(await measurePair(left, right, options))
    }
    if (output.isJson) {
      printJson(results)
      return 0
    }
    printLine(formatTable([PAIR_COLUMNS, ...results.map(pairRow)]))
    return 0
  },
}

async function runBench(input: CommandInput): Promise<number> {
  const { runLabBench } = await import('../../lab/bench.js')
  const rows: string[][] = []
  await runLabBench({ tries: numberOf(input, 'tries', 20, 1), isLong: input.has('long') }, (row) => {
    rows.push([row.name, row.result, row.aim])
    if (input.output.isJson) printLine(JSON.stringify(row))
    else printNote(`${row.name}: ${row.result}`)
  })
  if (!input.output.isJson) printLine(formatTable([['case', 'measured', 'at least'], ...rows]))
  return 0
}

async function runFaults(input: CommandInput): Promise<number> {
  const { measureHubDeath, measureInterruptions, measureRelayDeath } = await import(
    '../../lab/interruptions.js'
  )
  const { measureRestrictions } = await import('../../lab/faults.js')
  const options = { rttMs: numberOf(input, 'rtt', 40, 0), lossPercent: numberOf(input, 'loss', 0, 0) }
  const results = [
    ...(await measureRestrictions(options)),
    ...(await measureInterruptions(options)),
    await measureRelayDeath(options),
    ...(input.has('long') ? await measureHubDeath(options) : []),
  ]
  if (input.output.isJson) printJson(results)
  else
    printLine(
      formatTable(results.map(({ name, ms, how }) => [name, ms === null ? 'never' : `${ms} ms`, how])),
    )
  return 0
}

async function runDelay([, name = '', delay = '', loss = '']: readonly string[]): Promise<number> {
  const { startDelayLine } = await import('../../lab/delay-line.js')
  startDelayLine(name, Number(delay), Number(loss))
  printLine('ready')
  return await new Promise<number>(() => undefined)
}

async function runProxy([, port = '', credentials = '']: readonly string[]): Promise<number> {
  const { startProxy } = await import('../../lab/proxy.js')
  await startProxy(Number(port), credentials)
  printLine('ready')
  return await new Promise<number>(() => undefined)
}

async function mappingOf(text: string | undefined): Promise<MappingProtocol | undefined> {
  const { MAPPING_PROTOCOLS } = await import('../../lab/site.js')
  const protocol = MAPPING_PROTOCOLS.find((candidate) => candidate === text)
  if (text === undefined || protocol !== undefined) return protocol
  throw new UsageError(`--mapping cannot be "${text}"`, { hint: `write ${MAPPING_PROTOCOLS.join(' or ')}` })
}

async function runFlows([, address = '', perSecond = '', seconds = '']: readonly string[]): Promise<number> {
  const { makeFlows } = await import('../../lab/flows.js')
  await makeFlows(address, Number(perSecond), Number(seconds))
  return 0
}

async function pairsOf(words: readonly string[]): Promise<[RouterKind, RouterKind][]> {
  const { ROUTER_KINDS } = await import('../../lab/routers.js')
  if (words.length === 1 && words[0] === 'matrix') {
    return ROUTER_KINDS.flatMap((left, i) =>
      ROUTER_KINDS.slice(i).map((right): [RouterKind, RouterKind] => [left, right]),
    )
  }
  const kinds = words.length === 0 ? DEFAULT_PAIRS.flatMap((pair) => pair.split(' ')) : words
  const known = kinds.map((word) => {
    const kind = ROUTER_KINDS.find((candidate) => candidate === word)
    if (kind !== undefined) return kind
    throw new UsageError(`there is no router "${word}"`, { hint: `there are: ${ROUTER_KINDS.join(', ')}` })
  })
  if (known.length % 2 !== 0) throw new UsageError('name routers in pairs')
  const pairs: [RouterKind, RouterKind][] = []
  for (let i = 0; i + 1 < known.length; i += 2)
    pairs.push([known[i] as RouterKind, known[i + 1] as RouterKind])
  return pairs
}

function numberOf(input: CommandInput, option: string, otherwise: number, least: number): number {
  const text = input.value(option)
  const value = text === undefined ? otherwise : tryParseInteger(text, least, 10_000)
  if (value !== undefined) return value
  throw new UsageError(`--${option} cannot be "${text}"`, { hint: `write a number from ${least}` })
}
