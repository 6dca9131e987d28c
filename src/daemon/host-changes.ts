/**
 * Makes and takes back the changes of system-change.ts. Taking back is idempotent: what is gone
 * already counts as done, because somebody else may have removed it, or it was never made.
 */

import { PlatformError } from '../base/errors.js'
import { formatPrefix, type Prefix, tryParsePrefix } from '../net/prefix.js'
import { addFirewall, removeFirewall } from '../platform/firewall.js'
import { addKillSwitch, removeKillSwitch } from '../platform/kill-switch.js'
import {
  addAddress,
  addRoute,
  addRule,
  listRoutes,
  type Rule,
  removeAddress,
  removeRoute,
  removeRule,
  setLinkMtu,
  setLinkUp,
} from '../platform/network.js'
import { networkNamespace } from '../platform/network-namespace.js'
import type { ResolverEntry } from '../platform/resolv-conf.js'
import { addResolverEntry, removeResolverEntry } from '../platform/resolver.js'
import { listRunNames, runPaths } from '../platform/run-directory.js'
import { writeSysctl } from '../platform/sysctl.js'
import type { InterfaceChange, LastingChange, ResolverChange } from './system-change.js'
import { tryReadJournal } from './undo-journal.js'

export interface LiveInterface {
  readonly name: string
  readonly linkIndex: number
}

export function applyInterfaceChange(change: InterfaceChange, live: LiveInterface): void {
  switch (change.kind) {
    case 'mtu':
      setLinkMtu(live.linkIndex, change.mtu)
      return
    case 'address':
      addAddress(live.linkIndex, parsePrefix(change.prefix))
      return
    case 'linkUp':
      setLinkUp(live.linkIndex, true)
      return
    case 'route':
      addOwnRoute(parsePrefix(change.prefix), change.table, live)
      return
  }
}

export function undoInterfaceChange(change: InterfaceChange, live: LiveInterface): void {
  switch (change.kind) {
    case 'mtu':
      return // the new one replaces it
    case 'address':
      ignoreAbsence(() => removeAddress(live.linkIndex, parsePrefix(change.prefix)))
      return
    case 'linkUp':
      ignoreAbsence(() => setLinkUp(live.linkIndex, false))
      return
    case 'route': {
      const prefix = parsePrefix(change.prefix)
      ignoreAbsence(() => removeRoute({ prefix, linkIndex: live.linkIndex, table: change.table }))
      return
    }
  }
}

export async function applyLastingChange(change: LastingChange, interfaceName: string): Promise<void> {
  switch (change.kind) {
    case 'rule':
      addRule(toRule(change))
      return
    case 'sysctl':
      writeSysctl(change.name, change.value)
      return
    case 'firewall':
      await addFirewall({ ...change, interfaceName })
      return
    case 'dns':
    case 'names':
      await addResolverEntry(resolverEntryOf(change, interfaceName))
      return
    case 'killSwitch':
      await addKillSwitch(interfaceName, change.mark)
      return
  }
}

export async function undoLastingChange(change: LastingChange, interfaceName: string): Promise<void> {
  switch (change.kind) {
    case 'rule':
      ignoreAbsence(() => removeRule(toRule(change)))
      return
    case 'sysctl':
      if (
        (await tryFindEarlierValue({ sysctl: change.name, exceptInterface: interfaceName })) === undefined
      ) {
        writeSysctl(change.name, change.previous)
      }
      return
    case 'firewall':
      await removeFirewall(change.family, interfaceName)
      return
    case 'dns':
    case 'names':
      await removeResolverEntry(resolverEntryOf(change, interfaceName))
      return
    case 'killSwitch':
      await removeKillSwitch(interfaceName)
      return
  }
}

export function resolverEntryOf(change: ResolverChange, interfaceName: string): ResolverEntry {
  const { kind } = change
  const { servers, searchDomains } =
    kind === 'dns' ? change : { servers: [change.server], searchDomains: [change.domain] }
  return { kind, interfaceName, servers, searchDomains }
}

export interface EarlierValueQuery {
  readonly sysctl: string
  /** Undoing asks for the others only. */
  readonly exceptInterface?: string
  readonly runDirectory?: string
}

/**
 * What a kernel setting was before running interfaces changed it; undefined if none did. All of them
 * remember the same value, and the last to go restores it, whatever the order of going.
 */
export async function tryFindEarlierValue(query: EarlierValueQuery): Promise<string | undefined> {
  const namespace = networkNamespace()
  for (const name of listRunNames(query.runDirectory)) {
    if (name === query.exceptInterface) continue
    const record = await tryReadJournal(runPaths(name, query.runDirectory).journal)
    if (record?.namespace !== namespace) continue
    const change = record.changes.find((other) => other.kind === 'sysctl' && other.name === query.sysctl)
    if (change?.kind === 'sysctl') return change.previous
  }
  return undefined
}

function toRule(change: LastingChange & { readonly kind: 'rule' }): Rule {
  const { family, priority, table, unlessMark, suppressPrefixLength } = change
  return {
    family,
    priority,
    table,
    ...(unlessMark === undefined ? {} : { mark: unlessMark, invert: true }),
    ...(suppressPrefixLength === undefined ? {} : { suppressPrefixLength }),
  }
}

function addOwnRoute(prefix: Prefix, table: number, live: LiveInterface): void {
  try {
    addRoute({ prefix, linkIndex: live.linkIndex, table })
  } catch (error) {
    if (!(error instanceof PlatformError) || error.errno !== 'EEXIST') throw error
    const text = formatPrefix(prefix)
    const existing = listRoutes(prefix.address.family, table).find(
      (route) => formatPrefix(route.prefix) === text,
    )
    if (existing?.linkIndex === live.linkIndex) return
    throw new PlatformError(`cannot add route ${text}: table ${table} has one already`, {
      errno: error.errno,
      syscall: error.syscall,
      hint: `look at it: ip route show table ${table} ${text}; or keep routes out of the tunnel: Table = off`,
      cause: error,
    })
  }
}

const ABSENT: ReadonlySet<string> = new Set(['ENOENT', 'ESRCH', 'EADDRNOTAVAIL', 'ENODEV', 'ENXIO'])

function ignoreAbsence(remove: () => void): void {
  try {
    remove()
  } catch (error) {
    if (!(error instanceof PlatformError) || !ABSENT.has(error.errno)) throw error
  }
}

/** INVARIANT: changes hold only texts that formatPrefix wrote. */
function parsePrefix(text: string): Prefix {
  const prefix = tryParsePrefix(text)
  if (prefix === undefined) throw new RangeError(`no prefix: ${text}`)
  return prefix
}
