import { mkdtempSync, rmSync } from 'node:fs'
import { connect, type Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { createLogger } from '../../../src/base/log.js'
import { startApiServer } from '../../../src/daemon/api-server.js'

const MAX_CLIENTS = 64

let directory: string
let path: string
let server: { stop(): Promise<void> }
const clients: Socket[] = []

beforeEach(async () => {
  directory = mkdtempSync(join(tmpdir(), 'overlay-api-'))
  path = join(directory, 'api.sock')
  server = await startApiServer({
    path,
    routes: new Map([['POST /v1/echo', (body: unknown) => body]]),
    log: createLogger({ level: 'error', write: () => undefined, wallNowMs: Date.now }),
  })
})

afterEach(async () => {
  for (const client of clients.splice(0)) client.destroy()
  await server.stop()
  rmSync(directory, { recursive: true, force: true })
})

async function dial(): Promise<Socket> {
  const client = connect(path)
  clients.push(client)
  client.on('error', () => undefined)
  client.resume()
  await new Promise<void>((resolve) => client.once('connect', () => resolve()))
  return client
}

async function ask(body: string): Promise<string> {
  const client = await dial()
  let answer = ''
  client.on('data', (chunk: Buffer) => {
    answer += chunk.toString()
  })
  client.write(`POST /v1/echo HTTP/1.1\r\nHost: x\r\nContent-Length: ${body.length}\r\n\r\n${body}`)
  await new Promise((resolve) => client.once('close', resolve))
  return answer
}

describe('the local API', () => {
  it.each([
    ['say nothing', ''],
    ['begin a request', 'POST /v1/echo HTTP/1.1\r\n'],
    ['owe the body', 'POST /v1/echo HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\n{'],
  ])('serves whoever asks beside as many as there may be that %s', async (_what, beginning) => {
    for (let i = 0; i < MAX_CLIENTS; i++) {
      const client = await dial()
      if (beginning !== '') client.write(beginning)
    }
    const closed = new Promise<void>((resolve) => clients[0]?.once('close', () => resolve()))
    expect(await ask('{"a":1}')).toMatch(/^HTTP\/1\.1 200 .*\{"a":1\}/s)
    await closed
    expect(clients.slice(1, MAX_CLIENTS).filter(({ closed: isClosed }) => isClosed)).toEqual([])
  })

  it('takes no body that is too long', async () => {
    expect(await ask(`"${'x'.repeat(70_000)}"`)).not.toMatch(/200/)
    expect(await ask('{}')).toMatch(/200/)
  })
})
