/**
 * Makes this machine ask name servers of ours: by the program that keeps its resolver, where there is one
 * (`resolvconf` of openresolv, Debian or systemd; systemd-resolved), else by our own lines in resolv.conf.
 */

import { closeSync, ftruncateSync, openSync, readFileSync, writeFileSync, writeSync } from 'node:fs'
import { runProgram, tryFindProgram } from './processes.js'
import {
  type EntryName,
  hasEntry,
  hasTraceOf,
  otherServers,
  type ResolverEntry,
  withEntry,
  withoutEntry,
} from './resolv-conf.js'
import { toPlatformError } from './system-error.js'

export const RESOLV_CONF = '/etc/resolv.conf'
const RESOLVED_STUB = '/run/systemd/resolve/stub-resolv.conf'
const EVERYTHING = '~.'

/** Throws AppError, PlatformError. */
export async function addResolverEntry(entry: ResolverEntry): Promise<void> {
  const resolvconf = entry.kind === 'dns' ? tryFindProgram('resolvconf') : undefined
  if (resolvconf !== undefined) {
    // Exclusive and with the highest metric: all questions go to these servers.
    const args = ['-a', recordName(entry.interfaceName), '-m', '0', '-x']
    await runProgram(resolvconf, args, formatRecord(entry))
    return
  }
  const resolvectl = resolvectlIfUsed()
  if (resolvectl !== undefined) {
    const { interfaceName, servers, searchDomains } = entry
    const domains = entry.kind === 'dns' ? [...searchDomains, EVERYTHING] : searchDomains
    await runProgram(resolvectl, ['dns', interfaceName, ...servers])
    await runProgram(resolvectl, ['domain', interfaceName, ...domains])
    return
  }
  writeResolvConf(withEntry(tryReadResolvConf() ?? '', entry))
}

/** Nothing happens if there is nothing to take back. With systemd-resolved it goes with the interface. */
export async function removeResolverEntry(entry: EntryName): Promise<void> {
  const text = tryReadResolvConf() ?? ''
  if (hasTraceOf(text, entry)) {
    writeResolvConf(withoutEntry(text, entry))
    return
  }
  const resolvconf = entry.kind === 'dns' ? tryFindProgram('resolvconf') : undefined
  if (resolvconf !== undefined) await runProgram(resolvconf, ['-d', recordName(entry.interfaceName), '-f'])
}

/** Whether our own lines are there. */
export function hasResolverEntry(entry: ResolverEntry): boolean {
  return hasEntry(tryReadResolvConf() ?? '', entry)
}

/** Servers that names outside of overlay networks can be asked of. */
export function otherNameServers(): string[] {
  return otherServers(tryReadResolvConf() ?? '')
}

/** For resolvconf. */
export function formatRecord({ servers, searchDomains }: ResolverEntry): string {
  const lines = servers.map((server) => `nameserver ${server}`)
  if (searchDomains.length > 0) lines.push(`search ${searchDomains.join(' ')}`)
  return `${lines.join('\n')}\n`
}

/** Debian's resolvconf orders records by name; the first `word*` in its list is ahead of the others. */
function recordName(interfaceName: string): string {
  const prefix = /^([A-Za-z0-9-]+)\*$/m.exec(tryRead('/etc/resolvconf/interface-order') ?? '')?.[1]
  return prefix === undefined ? interfaceName : `${prefix}.${interfaceName}`
}

function resolvectlIfUsed(): string | undefined {
  return tryRead(RESOLVED_STUB) === undefined ? undefined : tryFindProgram('resolvectl')
}

function tryReadResolvConf(): string | undefined {
  return tryRead(RESOLV_CONF)
}

function tryRead(path: string): string | undefined {
  try {
    return readFileSync(path, 'utf8')
  } catch {
    return undefined
  }
}

/** In place: where the file is mounted from elsewhere, as in containers, it cannot be replaced. */
function writeResolvConf(text: string): void {
  const before = tryReadResolvConf()
  try {
    if (before === undefined) writeFileSync(RESOLV_CONF, text)
    else overwrite(text, before)
  } catch (error) {
    throw toPlatformError(error, `cannot change ${RESOLV_CONF}`)
  }
}

/** Cut to its length last, and put back if there is no room: an empty file would leave the machine without names. */
function overwrite(text: string, before: string): void {
  const fd = openSync(RESOLV_CONF, 'r+')
  const write = (content: string): void => {
    const bytes = Buffer.from(content)
    for (let at = 0; at < bytes.length; ) at += writeSync(fd, bytes, at, bytes.length - at, at)
    ftruncateSync(fd, bytes.length)
  }
  try {
    write(text)
  } catch (error) {
    write(before)
    throw error
  } finally {
    closeSync(fd)
  }
}
