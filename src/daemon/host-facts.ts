/** Asks the host what the plan of a tunnel depends on. */

import { IPV6_MIN_MTU, mtuFromPaths } from '../config/mtu.js'
import type { TunnelConfig } from '../config/types.js'
import type { Endpoint } from '../net/endpoint.js'
import type { IpAddress } from '../net/ip.js'
import { hasFirewall } from '../platform/firewall.js'
import { listRoutes, listRules, routeTo } from '../platform/network.js'
import { isIpv6Off, readSysctl } from '../platform/sysctl.js'
import { tryFindEarlierValue } from './host-changes.js'
import {
  choosePolicyRouting,
  type HostFacts,
  needsPolicyRouting,
  type PolicyRouting,
  SRC_VALID_MARK,
} from './system-plan.js'

export interface FactsRequest {
  readonly interfaceName: string
  readonly hasDns: boolean
  readonly config: TunnelConfig
  /** Where the peers are, as far as known. */
  readonly endpoints: readonly Endpoint[]
  /** Chosen before; kept through reloads. */
  readonly policy: PolicyRouting | undefined
}

export async function readHostFacts(request: FactsRequest): Promise<HostFacts> {
  const { config } = request
  const policy = needsPolicyRouting(config) ? (request.policy ?? choosePolicy(config)) : undefined
  const mark = policy?.table ?? config.interface.fwMark
  const mtu = config.interface.mtu ?? mtuFromRoutes(request.endpoints, mark)
  return {
    hasDns: request.hasDns,
    policy,
    mtu,
    ipv6Fault: describeIpv6Fault(request.interfaceName, mtu),
    // Asks the journals of all interfaces: a tunnel that needs no answer must not fail for one of them.
    srcValidMark: policy === undefined ? '' : await readSrcValidMark(),
    hasFirewall: hasFirewall(),
  }
}

function describeIpv6Fault(interfaceName: string, mtu: number): string | undefined {
  if (isIpv6Off(interfaceName)) return 'IPv6 is switched off on this machine'
  return mtu < IPV6_MIN_MTU ? `an MTU of ${mtu} is less than the ${IPV6_MIN_MTU} that IPv6 needs` : undefined
}

async function readSrcValidMark(): Promise<string> {
  return (await tryFindEarlierValue({ sysctl: SRC_VALID_MARK })) ?? readSysctl(SRC_VALID_MARK)
}

/** Whether answers to marked datagrams would be refused for lack of packet filter rules. */
export function isReversePathStrict(): boolean {
  return ['all', 'default'].some((which) => readSysctl(`net.ipv4.conf.${which}.rp_filter`) === '1')
}

function choosePolicy(config: TunnelConfig): PolicyRouting {
  const tables = [...listRoutes(4), ...listRoutes(6)].map((route) => route.table)
  const prioritiesOf = (family: 4 | 6): number[] => listRules(family).map((rule) => rule.priority ?? 0)
  return choosePolicyRouting(config.interface.fwMark, {
    usedTables: new Set(tables),
    priorities: { 4: prioritiesOf(4), 6: prioritiesOf(6) },
  })
}

function mtuFromRoutes(endpoints: readonly Endpoint[], mark: number): number {
  const paths = endpoints.map((endpoint) => tryPathMtu(endpoint.address, mark))
  const defaults = ANYWHERE.map((address) => tryPathMtu(address, mark))
  return mtuFromPaths(paths.filter(isKnown), defaults.filter(isKnown))
}

function isKnown(mtu: number | undefined): mtu is number {
  return mtu !== undefined
}

/** Documentation addresses (RFC 5737, RFC 3849): they are on no network, so they take the default route. */
const ANYWHERE: readonly IpAddress[] = [
  { family: 4, bytes: Uint8Array.of(192, 0, 2, 1) },
  { family: 6, bytes: Uint8Array.of(0x20, 0x01, 0x0d, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1) },
]

function tryPathMtu(address: IpAddress, mark: number): number | undefined {
  try {
    return routeTo(address, mark)?.mtu
  } catch {
    return undefined // unreachable now: it says nothing about the MTU
  }
}
