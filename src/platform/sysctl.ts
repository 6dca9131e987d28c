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

export function writeSysctl(name: string, value: string): void {
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
