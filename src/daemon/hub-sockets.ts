/**
 * Where the sockets of a hub are: in its state directory; and where that takes no files, in one for this run. Whoever
 * asks the hub looks in the same places.
 *
 * INVARIANT: a directory that a socket is in belongs to the user of the hub and is closed to everybody else.
 */

import { createHash } from 'node:crypto'
import { accessSync, constants, lstatSync, rmdirSync, statSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { ensureRunDirectory } from '../platform/run-directory.js'
import type { HubPaths } from './hub-state.js'

const RUN_DIRECTORY = '/run/overlay-hub'
const ID_LENGTH = 16

/** For the hub: its paths, with sockets where there can be some. Throws PlatformError if that is nowhere. */
export function placeSockets(paths: HubPaths): HubPaths {
  if (isWritable(paths.directory)) return paths
  let failure: unknown
  for (const directory of otherDirectories(paths.directory, process.geteuid?.() ?? 0)) {
    try {
      ensureRunDirectory(dirname(directory))
      ensureRunDirectory(directory)
      return { ...paths, ...socketsIn(directory) }
    } catch (error) {
      failure ??= error
    }
  }
  throw failure
}

/** After the hub: nothing of it stays where it was for this run alone. */
export function leaveSockets(paths: HubPaths, placed: HubPaths): void {
  if (placed.socket === paths.socket) return
  try {
    rmdirSync(dirname(placed.socket))
  } catch {
    // Another hub of the same state is there already.
  }
}

/** For whoever asks a hub: all sockets at which it may be, the usual one first. */
export function adminSockets(paths: HubPaths): string[] {
  const owner = ownerOf(paths.directory)
  if (owner === undefined) return [paths.socket]
  const others = otherDirectories(paths.directory, owner).filter((directory) => isOwn(directory, owner))
  return [paths.socket, ...others.map((directory) => socketsIn(directory).socket)]
}

/** The first is of whoever runs services here; the second is there for everybody, one for each user. */
function otherDirectories(state: string, uid: number): string[] {
  const id = createHash('sha256').update(state).digest('hex').slice(0, ID_LENGTH)
  return [RUN_DIRECTORY, join(tmpdir(), `overlay-hub-${uid}`)].map((parent) => join(parent, id))
}

function socketsIn(directory: string): { readonly socket: string; readonly control: string } {
  return { socket: join(directory, 'hub.sock'), control: join(directory, 'control.sock') }
}

function isWritable(directory: string): boolean {
  try {
    accessSync(directory, constants.W_OK)
    return true
  } catch {
    return false
  }
}

/** Undefined also where it may not be looked at: then the socket says what is missing. */
function ownerOf(directory: string): number | undefined {
  try {
    return statSync(directory).uid
  } catch {
    return undefined
  }
}

/** Anybody may make a directory in a temporary one. */
function isOwn(directory: string, owner: number): boolean {
  const stat = lstatSync(directory, { throwIfNoEntry: false })
  const isTrusted = stat?.uid === owner || stat?.uid === 0 || stat?.uid === process.geteuid?.()
  return stat?.isDirectory() === true && isTrusted
}
