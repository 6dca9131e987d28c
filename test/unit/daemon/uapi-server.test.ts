import { execFile } from 'node:child_process'
import { once } from 'node:events'
import {
  accessSync,
  chmodSync,
  existsSync,
  linkSync,
  lstatSync,
  mkdtempSync,
  readdirSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs'
import { connect, createServer, type Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { formatBase64 } from '../../../src/base/bytes.js'
import { AppError, PlatformError } from '../../../src/base/errors.js'
import { createLogger } from '../../../src/base/log.js'
import { stripConfig } from '../../../src/config/format.js'
import { parseConfig } from '../../../src/config/parse.js'
import { startUapiServer, type UapiServer, type UapiServerOptions } from '../../../src/daemon/uapi-server.js'
import type { PeerUpdate } from '../../../src/wireguard/configuration.js'
import type { PublicKey } from '../../../src/wireguard/keys.js'
import { seededRandom } from '../../support/seeded-random.js'
import { FakeDevice } from './fake-device.js'

const PRIVATE = '01'.repeat(32)
const PUBLIC = '02'.repeat(32)
const EADDRINUSE = new PlatformError('cannot bind port 5: EADDRINUSE', {
  errno: 'EADDRINUSE',
  syscall: 'bind',
})

let directory: string
let path: string
let device: FakeDevice
let logLines: string[]
let servers: UapiServer[]

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'uapi-test-'))
  path = join(directory, 'run', 'wg0.sock')
  device = new FakeDevice()
  logLines = []
  servers = []
})

afterEach(async () => {
  await Promise.all(servers.map((server) => server.stop()))
  rmSync(directory, { recursive: true, force: true })
})

async function start(options: Partial<UapiServerOptions> = {}): Promise<UapiServer> {
  const write = (line: string): void => void logLines.push(line)
  const log = createLogger({ level: 'debug', write, wallNowMs: () => 0 })
  const server = await startUapiServer({ path, device, log, ...options })
  servers.push(server)
  return server
}

async function open(): Promise<Socket> {
  const socket = connect({ path, allowHalfOpen: true })
  await once(socket, 'connect')
  return socket
}

/** All that the server sends until it ends the connection. */
async function readAll(socket: Socket): Promise<string> {
  let text = ''
  for await (const chunk of socket.setEncoding('utf8')) text += String(chunk)
  return text
}

async function ask(request: string): Promise<string> {
  const socket = await open()
  socket.end(request)
  return await readAll(socket)
}

describe('the UAPI socket', () => {
  it('is there for its owner only, and gone after the stop', async () => {
    const server = await start()
    expect(lstatSync(path).isSocket()).toBe(true)
    expect(lstatSync(path).mode & 0o777).toBe(0o600)
    expect(lstatSync(join(directory, 'run')).mode & 0o022).toBe(0)
    expect(readdirSync(join(directory, 'run'))).toEqual(['wg0.sock'])
    await server.stop()
    await server.stop()
    expect(readdirSync(join(directory, 'run'))).toEqual([])
  })

  it('takes the place of one that nobody serves', async () => {
    path = join(directory, 'wg0.sock')
    const dead = createServer().listen(path)
    await once(dead, 'listening')
    const { ino } = lstatSync(path)
    // Closing removes the file: a second name keeps the socket, as a crash would.
    const crashed = `${path}.crashed`
    linkSync(path, crashed)
    dead.close()
    await once(dead, 'close')
    renameSync(crashed, path)
    expect(lstatSync(path).ino).toBe(ino)
    await start()
    expect(await ask('get=1\n\n')).toBe('errno=0\n\n')
  })

  it('is left alone where another process serves it', async () => {
    await start()
    const failure = await start().catch((error: unknown) => error)
    expect(failure).toBeInstanceOf(AppError)
    expect(failure).toMatchObject({ code: 'ALREADY_RUNNING' })
    expect(await ask('get=1\n\n')).toBe('errno=0\n\n')
  })

  it('does not replace a file that is no socket', async () => {
    path = join(directory, 'wg0.sock')
    writeFileSync(path, 'mine')
    await expect(start()).rejects.toMatchObject({ errno: 'EEXIST' })
    expect(lstatSync(path).isFile()).toBe(true)
  })

  it('says what the system refused', async () => {
    path = join(directory, 'x'.repeat(200), 'wg0.sock')
    await expect(start()).rejects.toThrow(PlatformError)
    await expect(start()).rejects.toThrow(/^cannot create the socket .*wg0\.sock: E/)
    expect(readdirSync(join(directory, 'x'.repeat(200)))).toEqual([])
  })

  it('is not removed by a stop once another one has its place', async () => {
    const first = await start()
    rmSync(path)
    await start()
    await first.stop()
    expect(await ask('get=1\n\n')).toBe('errno=0\n\n')
  })
})

describe('a client', () => {
  it('sets and gets over one connection, in order', async () => {
    await start()
    const answer = await ask(
      `set=1\nprivate_key=${PRIVATE}\nlisten_port=5\npublic_key=${PUBLIC}\n\nget=1\n\n`,
    )
    expect(
      answer.startsWith(`errno=0\n\nprivate_key=${PRIVATE}\nlisten_port=5\npublic_key=${PUBLIC}\n`),
    ).toBe(true)
    expect(answer.endsWith('\nerrno=0\n\n')).toBe(true)
    expect(device.updates).toHaveLength(1)
  })

  it('is answered while it keeps the connection open, byte by byte', async () => {
    await start()
    const socket = await open()
    for (const byte of 'get=1\n\n') socket.write(byte)
    const [answer] = await once(socket, 'data')
    expect(String(answer)).toBe('errno=0\n\n')
    socket.destroy()
  })

  it('changes nothing by a request with a fault in it', async () => {
    await start()
    expect(await ask('set=1\nlisten_port=5\nfwmark=x\n\n')).toBe('errno=-22\n\n')
    expect(device.updates).toEqual([])
  })

  it('gets the errno of what the device could not do', async () => {
    await start()
    device.failure = EADDRINUSE
    expect(await ask('set=1\n\nget=1\n\n')).toBe('errno=-98\n\nerrno=98\n\n')
    device.failure = new AppError('CONFIG_INVALID', 'no')
    expect(await ask('set=1\n\n')).toBe('errno=-22\n\n')
    device.failure = new Error('bug')
    expect(await ask('set=1\n\n')).toBe('errno=-5\n\n')
  })

  it('is answered and dropped when it sends a line without end', async () => {
    await start()
    const socket = await open()
    socket.on('error', () => undefined)
    socket.write('x'.repeat(5000))
    expect(await readAll(socket)).toBe('errno=-27\n\n')
  })

  it('is dropped when it says nothing for long', async () => {
    await start({ idleMs: 20 })
    expect(await readAll(await open())).toBe('')
  })

  it('that takes no answers is not read any further', async () => {
    await start()
    device.configure({ peers: Array.from({ length: 500 }, (_, i) => peerNumber(i)) })
    let asked = 0
    const snapshot = device.snapshot.bind(device)
    device.snapshot = () => {
      asked += 1
      return snapshot()
    }
    const socket = await open()
    socket.write('get=1\n\n'.repeat(1000))
    await once(socket, 'readable')
    socket.pause()
    expect(await ask('get=1\n\n')).toContain('errno=0')
    expect(asked).toBeLessThan(100)
    socket.destroy()
  })

  it('leaves no key in the log', async () => {
    await start()
    await ask(`set=1\nprivate_key=${PRIVATE}\n\n`)
    await ask(`set=1\nprivate_key=${PRIVATE}00\n${PRIVATE}\n${PRIVATE}=1\n\n`)
    await ask(`${PRIVATE}\n\n`)
    expect(logLines.join()).toContain('wrong value of private_key')
    expect(logLines.join()).not.toContain(PRIVATE.slice(0, 16))
  })

  it('is one of many: beyond 64 at once the one that was idle for the longest gives way', async () => {
    await start()
    const sockets: Socket[] = []
    for (let i = 0; i < 64; i++) sockets.push(await open())
    const [first, idlest, ...others] = sockets as [Socket, Socket, ...Socket[]]
    first.write('get=1\n\n')
    await once(first, 'readable')
    expect(await ask('get=1\n\n')).toBe('errno=0\n\n')
    expect(await readAll(idlest)).toBe('')
    expect(logLines.join()).toContain('uapi.client.dropped')
    for (const socket of others) socket.end('get=1\n\n')
    const answers = await Promise.all(others.map(readAll))
    expect(new Set(answers)).toEqual(new Set(['errno=0\n\n']))
    first.end()
    expect(await readAll(first)).toBe('errno=0\n\n')
  })
})

function peerNumber(i: number): PeerUpdate {
  const publicKey = seededRandom(i)(32) as PublicKey
  const bytes = Uint8Array.of(10, 0, i >> 8, i & 255)
  return {
    publicKey,
    persistentKeepaliveS: 25,
    allowedIps: [{ prefix: { address: { family: 4, bytes }, bits: 32 } }],
  }
}

const missing = missingForWg()

describe.skipIf(missing !== undefined)(
  `the program wg${missing === undefined ? '' : ` (needs ${missing})`}`,
  () => {
    const name = `ovt${process.pid}`

    beforeEach(async () => {
      path = `/var/run/wireguard/${name}.sock`
      await start()
    })

    async function wg(...args: readonly string[]): Promise<string> {
      const { stdout } = await promisify(execFile)('wg', args)
      return stdout
    }

    function write(file: string, text: string): string {
      const full = join(directory, file)
      writeFileSync(full, text, { mode: 0o600 })
      chmodSync(full, 0o600)
      return full
    }

    const base64 = (byte: number): string => formatBase64(new Uint8Array(32).fill(byte))

    it('lists, sets and shows', async () => {
      expect((await wg('show', 'interfaces')).split(/\s/)).toContain(name)
      const keyFile = write('key', `${base64(1)}\n`)
      await wg('set', name, 'listen-port', '5', 'fwmark', '0x10', 'private-key', keyFile)
      const peer = base64(2)
      const presharedFile = write('psk', `${base64(3)}\n`)
      await wg('set', name, 'peer', peer, 'preshared-key', presharedFile, 'endpoint', '[::1]:7')
      await wg('set', name, 'peer', peer, 'persistent-keepalive', '25', 'allowed-ips', '10.0.0.0/8,fd00::/64')
      const dump = (await wg('show', name, 'dump')).split('\n').map((line) => line.split('\t'))
      expect(dump[0]).toEqual([base64(1), expect.stringMatching(/=$/), '5', '0x10'])
      const moments = ['1700000000', '2048', '1024']
      expect(dump[1]).toEqual([peer, base64(3), '[::1]:7', '10.0.0.0/8,fd00::/64', ...moments, '25'])
      expect(await wg('show', 'all', 'dump')).toContain(`${name}\t${peer}`)
      expect(await wg('show', name)).toMatch(/transfer: 2\.00 KiB received, 1\.00 KiB sent/)
      expect(await wg('showconf', name)).toContain('AllowedIPs = 10.0.0.0/8, fd00::/64')
      await wg('set', name, 'private-key', '/dev/null', 'peer', peer, 'remove')
      expect(device.snapshot()).toMatchObject({ privateKey: undefined, peers: [] })
    })

    it('understands errors of both operations', async () => {
      device.failure = EADDRINUSE
      await expect(wg('set', name, 'listen-port', '5')).rejects.toThrow('Address already in use')
      await expect(wg('show', name)).rejects.toThrow('Address already in use')
    })

    it('writes and reads a thousand peers, and changes only what differs', async () => {
      const key = (i: number): string => formatBase64(seededRandom(i)(32))
      const peer = (i: number, keepalive: number): string =>
        `[Peer]\nPublicKey = ${key(i)}\nAllowedIPs = 10.0.${i >> 8}.${i & 255}/32\nPersistentKeepalive = ${keepalive}\n`
      const numbers = Array.from({ length: 1000 }, (_, i) => i + 1)
      const text = `[Interface]\nListenPort = 5\n${numbers.map((i) => peer(i, 25)).join('')}`
      await wg('setconf', name, write('full.conf', text))
      expect((await wg('show', name, 'peers')).trim().split('\n')).toEqual(numbers.map(key))
      await wg('syncconf', name, write('same.conf', text))
      expect(device.updates.at(-1)?.replacePeers).toBeUndefined()
      const edited = `${text.replace(peer(1000, 25), '').replace(peer(7, 25), peer(7, 26))}${peer(1001, 25)}`
      await wg('syncconf', name, write('edited.conf', edited))
      const { peers } = device.snapshot()
      expect(peers).toHaveLength(1000)
      expect(peers.filter(({ persistentKeepaliveS }) => persistentKeepaliveS === 26)).toHaveLength(1)
      expect(device.updates.at(-1)?.peers.filter(({ remove }) => remove)).toHaveLength(1)
    })

    it('takes a stripped tunnel file', async () => {
      const file = `[Interface]\nPrivateKey = ${base64(1)}\nAddress = 10.0.0.1\nFwMark = 7\nPostUp = true
      [Peer]\nName = a\nPublicKey = ${base64(2)}\nAllowedIPs = 10.0.0.2, ::/0\nEndpoint = 192.0.2.1:9
      [Peer]\nPublicKey = ${base64(3)}\nPersistentKeepalive = 1`
      const config = parseConfig(file, 'a')
      await wg('setconf', name, write('stripped.conf', stripConfig(config)))
      const { privateKey, fwmark, peers } = device.snapshot()
      expect({ privateKey, fwmark }).toEqual({ privateKey: config.interface.privateKey, fwmark: 7 })
      for (const [i, peer] of config.peers.entries()) {
        const { publicKey, allowedIps, persistentKeepaliveS } = peer
        expect(peers[i]).toMatchObject({ publicKey, allowedIps, persistentKeepaliveS })
      }
      expect(peers[0]?.endpoint).toMatchObject({ port: 9 })
    })

    it('does not see the interface after the stop', async () => {
      await Promise.all(servers.map((server) => server.stop()))
      expect(existsSync(path)).toBe(false)
      expect((await wg('show', 'interfaces')).split(/\s/)).not.toContain(name)
    })
  },
)

function missingForWg(): string | undefined {
  if (process.getuid?.() !== 0) return 'root'
  try {
    accessSync('/usr/bin/wg')
    return undefined
  } catch {
    return '/usr/bin/wg'
  }
}
