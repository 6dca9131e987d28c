/**
 * docs/performance.md: the tables of one run with what a reader needs to judge them. All of it is
 * made here; nothing in it is written by hand, and nothing in it tells where it was made.
 */

import { ALLOWED_IPS_PER_PEER } from './bed.js'
import { MANY_PEERS } from './contenders.js'
import type { Machine } from './machine.js'
import type { BenchOptions } from './options.js'
import { formatTable, type Table } from './table.js'

export interface Circumstances {
  readonly date: string
  readonly machine: Machine
  readonly versions: Readonly<Record<string, string>>
  readonly options: BenchOptions
  /** Switches of overlay that were set outside. */
  readonly environment: Readonly<Record<string, string>>
}

export function performanceDocument(
  circumstances: Circumstances,
  tables: readonly Table[],
  microTables: readonly Table[],
): string {
  const { date, machine, versions, options } = circumstances
  const versionList = Object.entries(versions).map(([name, version]) => `${name} ${version}`)
  return `# Performance

Measured ${date} on ${machine.cores} cores of ${machine.cpu}, ${machine.kernel}, with ${versionList.join(', ')}.
This page is written by the bench; do not edit it. The command was

\`\`\`sh
${commandOf(circumstances)}
\`\`\`

${tables.map(formatTable).join('\n\n')}

${microTables.length === 0 ? '' : `## Parts by themselves\n\n${microTables.map(formatTable).join('\n\n')}\n\n`}${howToRead(options)}`
}

/** Paths of this machine are left out. */
export function commandOf({ options, environment }: Circumstances): string {
  const words = [
    `--rounds ${options.rounds}`,
    `--seconds ${options.seconds}`,
    ...(options.only.length > 0 ? [`--only '${options.only.join(',')}'`] : []),
    ...options.peers.map(({ name }) => `--peer '${name}=…'`),
    ...(options.isQuick ? ['--quick'] : []),
    ...(options.writesDocs ? ['--write-docs'] : []),
  ]
  const switches = Object.entries(environment).map(([name, value]) => `${name}=${value} `)
  return `${switches.join('')}npm run bench -- ${words.join(' ')}`
}

function howToRead({ rounds, seconds }: BenchOptions): string {
  return `## How to read it

Two network namespaces, A and B, are joined by a veth pair (MTU 1500); the tunnel's MTU is 1420. **Both
daemons, the sender and the receiver share the machine's cores**, so throughput here is a measure of CPU
cost. All contenders take turns in every round (here: ${rounds}). A cell is the median over the
rounds with (lowest–highest). A shared machine's speed drifts: **compare ratios, not figures of different days.**
A ratio is taken between two contenders in the same round; the table shows the median of these.

| | |
|---|---|
| \`overlay\` | as installed, with the native data plane |
| \`overlay portable\` | the same with the data plane in TypeScript |
| \`overlay unsealed\` | a build for the bench alone that neither seals nor opens: the price of everything but the cipher |
| \`raw veth\` | no tunnel: the ceiling of the machine and of the load generators |
| others | the programs of that name, configured with \`wg\` and \`ip\` in the same way |

- **TCP throughput**: iperf3 with cubic, ${seconds} s after 1 s of warm-up, bytes as the receiver counts them. A veth
  passes large segments whole, which no real wire does; *no offloads* switches GSO, TSO, GRO and UDP
  segmentation of the veth off, so that every datagram crosses alone.
- **UDP packets**: the highest rate with less than one packet in a hundred lost, confirmed for two seconds
  (one in a quick run). Payload of 64 B, and of 1392 B, which fills the tunnel's MTU. The sender uses
  neither segmentation offload nor bursts above 32; \`raw veth\` tells what it can do by itself.
- **Round trip**: 200 pings at 5 ms, idle and beside one TCP flow.
- **CPU s/GB**: time on the cores of both daemons per 10⁹ bytes of one TCP flow. **Memory**: resident, of the
  daemon that has more, after all loads but the last. **With ${MANY_PEERS} peers**: idle, each peer with ${ALLOWED_IPS_PER_PEER} allowed IPs.
- **Up to first answer**: from the start of the command to the first answered ping, handshake included;
  \`overlay up\`, and \`wg-quick up\` for the others.
- **${MANY_PEERS} peers against one**: the same TCP flow while both ends have ${MANY_PEERS} peers and ${MANY_PEERS * ALLOWED_IPS_PER_PEER} allowed IPs.

In throughput and packets more is better; in all else, less.
`
}
