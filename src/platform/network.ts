/**
 * Links, addresses, routes and policy rules of this machine, over the kernel's own interface and
 * with no helper program. All calls are synchronous and throw PlatformError naming the thing.
 * Everything is told by link index: a name may change, an index never does.
 */

import { formatIp, type IpAddress } from '../net/ip.js'
import { formatPrefix, maskPrefix, type Prefix } from '../net/prefix.js'
import { nativeAddon } from './addon.js'
import { callNative } from './native-error.js'

export interface LinkInfo {
  readonly name: string
  readonly index: number
  readonly mtu: number
  readonly isUp: boolean
  /** Carries IP packets inside datagrams: a TUN or a WireGuard, of whatever program. */
  readonly isTunnel: boolean
  /** Free text; see LINK_ALIAS in underlay.ts. */
  readonly alias: string
}

export interface Route {
  readonly prefix: Prefix
  readonly linkIndex: number
  readonly table: number
  readonly gateway?: IpAddress
}

export interface Rule {
  readonly family: 4 | 6
  /** The kernel chooses one if absent. */
  readonly priority?: number
  /** Matches packets whose mark is this one in the bits of `mask`. */
  readonly mark?: number
  /** All bits if absent. */
  readonly mask?: number
  /** True: the rule holds for packets that do not match. */
  readonly invert?: boolean
  readonly table: number
  /** Routes of the table with a prefix this short or shorter are passed over. */
  readonly suppressPrefixLength?: number
}

export interface RouteAnswer {
  readonly linkIndex: number
  /** Of the route if it has one of its own (metric or learnt path MTU), else of the link. */
  readonly mtu: number
  readonly source?: IpAddress
  readonly gateway?: IpAddress
}

export const MAIN_TABLE = 254

const GONE = { ENODEV: 'the interface is gone' }
/** Lack of privilege is EPERM; EACCES is how the kernel refuses IPv6 where it is switched off. */
const REFUSED_V6 = {
  EACCES:
    'IPv6 is switched off: leave it out of the file, or: sudo sysctl -w net.ipv6.conf.all.disable_ipv6=0 net.ipv6.conf.default.disable_ipv6=0',
}

export function tryFindLink(name: string): LinkInfo | undefined {
  return callNative(`look up interface ${name}`, () => nativeAddon().findLink(name))
}

export function listLinks(): LinkInfo[] {
  return callNative('list interfaces', () => nativeAddon().listLinks())
}

export function setLinkAlias(index: number, alias: string): void {
  callNative(`set the alias of interface ${index}`, () => nativeAddon().setLinkAlias(index, alias), GONE)
}

export function setLinkUp(index: number, up: boolean): void {
  const what = `set interface ${index} ${up ? 'up' : 'down'}`
  callNative(what, () => nativeAddon().setLinkUp(index, up), GONE)
}

export function setLinkMtu(index: number, mtu: number): void {
  const what = `set MTU ${mtu} on interface ${index}`
  callNative(what, () => nativeAddon().setLinkMtu(index, mtu), { ...GONE, EINVAL: 'use 68 to 65535' })
}

export function deleteLink(index: number): void {
  callNative(`delete interface ${index}`, () => nativeAddon().deleteLink(index), GONE)
}

/** EEXIST if the interface has the address. */
export function addAddress(index: number, prefix: Prefix): void {
  const what = `add address ${formatPrefix(prefix)} to interface ${index}`
  const hints = { ...GONE, ...(prefix.address.family === 6 && REFUSED_V6) }
  callNative(what, () => nativeAddon().addAddress(index, prefix), hints)
}

export function removeAddress(index: number, prefix: Prefix): void {
  const what = `remove address ${formatPrefix(prefix)} from interface ${index}`
  callNative(what, () => nativeAddon().removeAddress(index, prefix), GONE)
}

/** EEXIST if the table has a route for the prefix, unless `replace`. Host bits are ignored. */
export function addRoute(route: Route, options: { readonly replace?: boolean } = {}): void {
  const masked = maskRoute(route)
  const replace = options.replace ?? false
  callNative(`add route ${describeRoute(masked)}`, () => nativeAddon().addRoute(masked, replace), {
    ...GONE,
    ENETDOWN: 'set the interface up first',
    ...(masked.prefix.address.family === 6 && REFUSED_V6),
  })
}

export function removeRoute(route: Route): void {
  const masked = maskRoute(route)
  callNative(`remove route ${describeRoute(masked)}`, () => nativeAddon().removeRoute(masked))
}

/** Unicast routes of one table, or of all. A route with several next hops is listed once for each. */
export function listRoutes(family: 4 | 6, table?: number): Route[] {
  return callNative(`list IPv${family} routes`, () => nativeAddon().listRoutes(family, table))
}

/** EEXIST if an equal rule exists. */
export function addRule(rule: Rule): void {
  callNative(`add rule ${describeRule(rule)}`, () => nativeAddon().addRule(rule))
}

/** Removes the first rule that agrees in all that is given. */
export function removeRule(rule: Rule): void {
  callNative(`remove rule ${describeRule(rule)}`, () => nativeAddon().removeRule(rule))
}

/** Rules that look into a table; always with priority and invert. */
export function listRules(family: 4 | 6): Rule[] {
  return callNative(`list IPv${family} rules`, () => nativeAddon().listRules(family))
}

/** What the kernel would do with a packet to `address` that carries `mark`; undefined if it has no way. */
export function routeTo(address: IpAddress, mark: number = 0): RouteAnswer | undefined {
  return callNative(`look up the route to ${formatIp(address)}`, () => {
    const addon = nativeAddon()
    const answer = addon.routeTo(address, mark)
    if (answer === undefined || answer.mtu > 0) return answer
    const link = addon.findLink(answer.linkIndex)
    return link === undefined ? undefined : { ...answer, mtu: link.mtu }
  })
}

function maskRoute(route: Route): Route {
  return { ...route, prefix: maskPrefix(route.prefix) }
}

function describeRoute(route: Route): string {
  const via = route.gateway === undefined ? '' : ` via ${formatIp(route.gateway)}`
  return `${formatPrefix(route.prefix)}${via} over interface ${route.linkIndex} in table ${route.table}`
}

function describeRule(rule: Rule): string {
  const words = [`of IPv${rule.family}`]
  if (rule.invert === true) words.push('not')
  if (rule.mark !== undefined) words.push(`mark ${rule.mark}`)
  words.push(`table ${rule.table}`)
  if (rule.suppressPrefixLength !== undefined) words.push(`suppressing /${rule.suppressPrefixLength}`)
  if (rule.priority !== undefined) words.push(`priority ${rule.priority}`)
  return words.join(' ')
}
