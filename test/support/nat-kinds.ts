/** Nodes behind the kinds of NATs that there are, for PathWorld. */

import type { Dependence } from '../../src/paths/nat.js'
import type { NodeOptions } from './path-world.js'
import type { SimulatedNatOptions } from './simulated-nat.js'

/** The NAT of a node keeps no more sessions. */
export function withSessions(options: NodeOptions, maxSessions: number): NodeOptions {
  return options.nat === undefined ? options : { ...options, nat: { ...options.nat, maxSessions } }
}

function cone(filtering: Dependence): NodeOptions {
  return { nat: { mapping: 'endpointIndependent', filtering, ports: [30_000, 60_000] } }
}

export const OPEN: NodeOptions = {}
export const FULL: NodeOptions = cone('endpointIndependent')
export const RESTRICTED: NodeOptions = cone('addressDependent')
export const STRICT: NodeOptions = cone('addressAndPortDependent')
export const HARD: Omit<SimulatedNatOptions, 'ports'> = {
  mapping: 'addressAndPortDependent',
  filtering: 'addressAndPortDependent',
}
/** Another port for each address, but one for all ports there: so is what it lets in. */
export const BY_ADDRESS: NodeOptions = {
  nat: { mapping: 'addressDependent', filtering: 'addressDependent', ports: [1024, 65_535] },
  ports: { kind: 'random', low: 1024, high: 65_535 },
}
/** The same, and a server with one address cannot tell. */
export const BY_ADDRESS_UNSEEN: NodeOptions = { nat: BY_ADDRESS.nat ?? { ...HARD, ports: 'preserved' } }
export const SEQUENTIAL: NodeOptions = {
  nat: { ...HARD, ports: 'sequential' },
  ports: { kind: 'sequential', step: 1 },
}
export function sequential(more: Partial<SimulatedNatOptions>): NodeOptions {
  return { ...SEQUENTIAL, nat: { ...HARD, ports: 'sequential', ...more } }
}
export const SEQUENTIAL_BY_ADDRESS: NodeOptions = {
  ...SEQUENTIAL,
  nat: { mapping: 'addressDependent', filtering: 'addressDependent', ports: 'sequential' },
}
export const RANDOM: NodeOptions = {
  nat: { ...HARD, ports: [1024, 65_535] },
  ports: { kind: 'random', low: 1024, high: 65_535 },
}
/** Linux with a firewall. */
export const PRESERVING: NodeOptions = {
  nat: { mapping: 'endpointIndependent', filtering: 'addressAndPortDependent', ports: 'preserved' },
}
/** Linux without a firewall: keeps the port, unless it has answered there itself. */
export const ANSWERING: NodeOptions = {
  nat: {
    mapping: 'endpointIndependent',
    filtering: 'addressAndPortDependent',
    ports: 'preserved',
    answers: true,
  },
}
export const BLOCK: NodeOptions = {
  nat: { ...HARD, ports: [5120, 5631] },
  ports: { kind: 'random', low: 5110, high: 5640 },
}
