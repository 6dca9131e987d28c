/** A real network in a laboratory: a hub, and nodes that join and come up, each the program itself. */

import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { AppError, ERROR_CODES } from '../base/errors.js'
import type { InterfaceStatus, WhyReport } from '../daemon/local-api-schema.js'
import { HUB_ADDRESS, type Internet, STUN_ADDRESSES } from './internet.js'
import type { RunOutcome } from './namespace.js'
import type { Site } from './site.js'

const OVERLAY = fileURLToPath(new URL('../../bin/overlay', import.meta.url))
const NETWORK = 'lab'
const SECOND_RELAY_PORT = 7443
/** Each takes a tenth of a second at least. */
const KNOWN_POLLS = 100

let nodesMade = 0

interface HubFacts {
  readonly hubKey: string
  readonly pid: number
}

/** One that has joined. */
export class LabNode {
  readonly name: string
  readonly site: Site
  readonly interfaceName: string
  readonly file: string
  readonly #env: Readonly<Record<string, string>>

  constructor(site: Site, name: string, directory: string, env: Readonly<Record<string, string>>) {
    nodesMade += 1
    this.site = site
    this.name = name
    this.interfaceName = `o${process.pid.toString(36)}x${nodesMade}`
    this.file = join(directory, `${this.interfaceName}.conf`)
    this.#env = env
  }

  /** The words of a command line. */
  command(...words: readonly string[]): string[] {
    return [process.execPath, OVERLAY, ...words]
  }

  async joinBy(token: string): Promise<void> {
    await this.overlay('join', token, '--file', this.file)
  }

  async up(): Promise<void> {
    await this.overlay('up', this.file)
  }

  async down(): Promise<void> {
    await this.overlay('down', this.interfaceName)
  }

  /** Its daemon ends as by a fault, and its guard with it: what it did to the machine stays until the next `up`. */
  async kill(): Promise<void> {
    const { pid, guardPid } = await this.status()
    if (guardPid !== null) process.kill(guardPid, 'SIGKILL')
    process.kill(pid, 'SIGKILL')
  }

  /** Its daemon ends as by a fault; its guard starts it again. */
  async crash(): Promise<void> {
    process.kill((await this.status()).pid, 'SIGKILL')
  }

  /** Over the tunnel, until the path is direct; gives the exit code and what was printed. */
  async ping(to: string, ...options: readonly string[]): Promise<RunOutcome> {
    return await this.try('ping', to, '--interface', this.interfaceName, ...options)
  }

  /** The hub told of the other node, or the store did. */
  async untilKnown(other: string): Promise<void> {
    for (let i = 0; i < KNOWN_POLLS; i++) {
      if ((await this.try('why', other, '--interface', this.interfaceName)).code === 0) return
    }
    throw new AppError(ERROR_CODES.timeout, `${this.name} never heard of ${other}`)
  }

  /** Its IPv4 address in the network. */
  async address(): Promise<string> {
    return (await this.status()).addresses[0]?.split('/')[0] ?? ''
  }

  async status(): Promise<InterfaceStatus> {
    const status = await this.tryStatus()
    if (status !== undefined) return status
    throw new AppError(ERROR_CODES.notRunning, `${this.name} is not up`)
  }

  /** Undefined while no daemon is up. */
  async tryStatus(): Promise<InterfaceStatus | undefined> {
    const { code, stdout } = await this.try('status', this.interfaceName, '--json')
    return code === 0 ? (JSON.parse(stdout) as { interfaces: InterfaceStatus[] }).interfaces[0] : undefined
  }

  async why(to: string): Promise<WhyReport> {
    return JSON.parse(await this.overlay('why', to, '--interface', this.interfaceName, '--json')) as WhyReport
  }

  /** Gives what it printed. Throws AppError with that if it fails. */
  async overlay(...words: readonly string[]): Promise<string> {
    const { code, stdout, stderr } = await this.try(...words)
    if (code === 0) return stdout
    throw new AppError(ERROR_CODES.command, `overlay ${words[0]} on ${this.name}: ${stdout}${stderr}`)
  }

  async try(...words: readonly string[]): Promise<RunOutcome> {
    return await this.site.host.run(this.command(...words), this.#env)
  }
}

export interface LabNetworkOptions {
  /** For one beside the first, whose hub needs ports of its own. */
  readonly name?: string
  readonly hasSecondRelay?: boolean
  /** It answers STUN at one address, as most hubs do: what depends on the address it cannot see. */
  readonly hasOneAddress?: boolean
  /** More words of `overlay hub init`. */
  readonly hubInit?: readonly string[]
}

export class LabNetwork {
  readonly #internet: Internet
  readonly #state: string
  readonly #name: string

  private constructor(internet: Internet, name: string) {
    this.#internet = internet
    this.#name = name
    this.#state = join(internet.directory, `hub-${name}`)
  }

  /** With a hub that runs; and, if asked for, a relay besides its own. */
  static async start(internet: Internet, options: LabNetworkOptions = {}): Promise<LabNetwork> {
    const network = new LabNetwork(internet, options.name ?? NETWORK)
    const stunAddresses = options.hasOneAddress === true ? HUB_ADDRESS : STUN_ADDRESSES
    const words = ['--address', HUB_ADDRESS, '--stun-address', stunAddresses]
    await network.hub('init', network.#name, ...words, ...(options.hubInit ?? []))
    await network.startHub()
    if (options.hasSecondRelay === true) {
      const { hubKey } = JSON.parse(await network.hub('status', '--json')) as HubFacts
      const relay = await network.#startRelay(hubKey)
      await network.hub('relay', 'add', `${HUB_ADDRESS}:${SECOND_RELAY_PORT}:${relay}`)
      await network.#untilRelayHears()
    }
    return network
  }

  /** A relay that was refused before it was added asks again seconds later. */
  async #untilRelayHears(): Promise<void> {
    for (let i = 0; i < KNOWN_POLLS; i++) {
      const relays = JSON.parse(await this.hub('relay', 'list', '--json')) as { isCurrent: boolean }[]
      if (relays.some(({ isCurrent }) => isCurrent)) return
    }
    throw new AppError(ERROR_CODES.timeout, 'the second relay never heard of the hub')
  }

  /** Gives what it prints for its hub. */
  async #startRelay(hubKey: string): Promise<string> {
    const state = join(this.#internet.directory, 'relay')
    const words = [
      process.execPath,
      OVERLAY,
      'relay',
      '--json',
      '--port',
      String(SECOND_RELAY_PORT),
      '--hub',
      `${hubKey}@${HUB_ADDRESS}:443`,
      '--state',
      state,
    ]
    return await new Promise<string>((resolve, reject) => {
      const child = this.#internet.hub.start(words, (line) => {
        if (line.startsWith('{')) resolve((JSON.parse(line) as { key: string }).key)
      })
      child.once('exit', () => reject(new Error('the relay ended')))
    })
  }

  /** It ends as by a fault, and its relay with it. */
  async killHub(): Promise<void> {
    process.kill((JSON.parse(await this.hub('status', '--json')) as HubFacts).pid, 'SIGKILL')
  }

  async untilOnline({ name }: LabNode): Promise<void> {
    for (let i = 0; i < KNOWN_POLLS; i++) {
      const nodes = JSON.parse(await this.hub('nodes', '--json')) as { name: string; isOnline: boolean }[]
      if (nodes.some((node) => node.name === name && node.isOnline)) return
    }
    throw new AppError(ERROR_CODES.timeout, `${name} never came online`)
  }

  async startHub(): Promise<void> {
    // What a relay can carry is measured, not what it allows.
    const words = [process.execPath, OVERLAY, 'hub', 'start', '--rate-limit', 'none', '--state', this.#state]
    await new Promise<void>((resolve, reject) => {
      const child = this.#internet.hub.start(words, (line) => {
        if (line.startsWith('the hub of')) resolve()
      })
      child.once('exit', () => reject(new Error('the hub ended')))
    })
  }

  /** Gives what it printed. */
  async hub(...words: readonly string[]): Promise<string> {
    const line = [process.execPath, OVERLAY, 'hub', ...words, '--state', this.#state]
    const { code, stdout, stderr } = await this.#internet.hub.run(line)
    if (code === 0) return stdout
    throw new AppError(ERROR_CODES.command, `overlay hub ${words[0]}: ${stderr}`)
  }

  /** Joined, not up. */
  async addNode(site: Site, name: string, env: Readonly<Record<string, string>> = {}): Promise<LabNode> {
    const token = (await this.hub('token', 'create', '--name', name)).trim()
    const node = new LabNode(site, name, this.#internet.directory, env)
    this.#internet.removeTracesOf(node.interfaceName)
    await node.joinBy(token)
    return node
  }
}
