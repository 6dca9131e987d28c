/** Which node a word on the command line means, and on which interface. */

import { AppError, ERROR_CODES, UsageError } from '../base/errors.js'
import type { InterfaceStatus, PeerStatus } from '../daemon/local-api-schema.js'
import { askStatus, listRunning, onlyRunningName } from './running.js'

export interface FoundNode {
  readonly interfaceName: string
  readonly peer: PeerStatus
}

/** `word`: its name, its full name, an address or its key. `interfaceName`: undefined for all. Throws UsageError. */
export async function findNode(word: string, interfaceName: string | undefined): Promise<FoundNode> {
  return chooseNode(word, await askStatuses(interfaceName))
}

/** Undefined if there is none. Throws UsageError if there are several. */
export async function tryFindNode(
  word: string,
  interfaceName: string | undefined,
): Promise<FoundNode | undefined> {
  const statuses = await askStatuses(interfaceName)
  return findAll(word, statuses).length === 0 ? undefined : chooseNode(word, statuses)
}

/** Of one interface, by default of all that are up; throws NOT_RUNNING if none is. */
export async function askStatuses(interfaceName?: string): Promise<InterfaceStatus[]> {
  const names = interfaceName === undefined ? await aliveNames() : [interfaceName]
  return await Promise.all(names.map(askStatus))
}

/** What findNode does with what the daemons say. Pure. */
export function chooseNode(word: string, statuses: readonly InterfaceStatus[]): FoundNode {
  const found = findAll(word, statuses)
  const [first, ...others] = found
  if (first === undefined) {
    const names = statuses.flatMap(({ peers }) => peers.flatMap(({ name }) => name ?? []))
    throw new AppError(ERROR_CODES.noSuchNode, `there is no node ${word}`, {
      hint: names.length === 0 ? 'no node is known yet' : `there are: ${names.join(', ')}`,
    })
  }
  if (others.length > 0) {
    const interfaces = found.map((each) => each.interfaceName).join(', ')
    throw new UsageError(`several interfaces have a node ${word}: ${interfaces}`, {
      hint: `choose one: --interface ${first.interfaceName}`,
    })
  }
  return first
}

function findAll(word: string, statuses: readonly InterfaceStatus[]): FoundNode[] {
  return statuses.flatMap((status) =>
    status.peers
      .filter((peer) => isMeant(word, peer, status))
      .map((peer) => ({ interfaceName: status.interface, peer })),
  )
}

function isMeant(word: string, peer: PeerStatus, { network }: InterfaceStatus): boolean {
  if (word === peer.publicKey || peer.allowedIps.some((prefix) => hostOf(prefix) === word)) return true
  if (peer.name === null) return false
  const wanted = word.toLowerCase().replace(/\.$/, '')
  const name = peer.name.toLowerCase()
  return wanted === name || (network !== null && wanted === `${name}.${network.name}.overlay`)
}

/** The address of a prefix that is one host. */
export function hostOf(prefix: string): string | undefined {
  return /^(.*)\/(32|128)$/.exec(prefix)?.[1]
}

async function aliveNames(): Promise<string[]> {
  const { running } = await listRunning()
  const alive = running.filter(({ isAlive }) => isAlive).map(({ record }) => record.interface)
  return alive.length > 0 ? alive : [onlyRunningName()]
}
