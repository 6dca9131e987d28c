/** Kernel settings under /proc/sys, by their dotted names. */

import { readFileSync, writeFileSync } from 'node:fs'
import { toPlatformError } from './system-error.js'

function pathOf(name: string): string {
  return `/proc/sys/${name.replaceAll('.', '/')}`
}

export function readSysctl(name: string): string {
  try {
    return readFileSync(pathOf(name), 'utf8').trim()
  } catch (error) {
    throw toPlatformError(error, `cannot read kernel setting ${name}`)
  }
}

/** By the kernel's start or by a setting. */
export function isIpv6Off(interfaceName: string): boolean {
  try {
    return readFileSync(pathOf(`net.ipv6.conf.${interfaceName}.disable_ipv6`), 'utf8').trim() !== '0'
  } catch {
    return true
  }
}

/** Where it is so already nothing is written: in containers /proc/sys is often read-only. */
export function writeSysctl(name: string, value: string): void {
  if (readSysctl(name) === value) return
  try {
    writeFileSync(pathOf(name), value)
  } catch (error) {
    throw toPlatformError(
      error,
      `cannot set kernel setting ${name} to ${value}`,
      `/proc/sys may be read-only here (a container?); set it outside: sysctl -w ${name}=${value}`,
    )
  }
}

/**
 * The kernel's own WireGuard interfaces get no link-local IPv6 address by themselves, and neither shall
 * ours: its chatter would start handshakes that nobody asked for. Without IPv6 there is nothing to do.
 */
export function disableLinkLocalAddress(interfaceName: string): void {
  try {
    writeFileSync(`/proc/sys/net/ipv6/conf/${interfaceName}/addr_gen_mode`, '1')
  } catch {
    // no IPv6, or /proc/sys is read-only: the address does little harm
  }
}
