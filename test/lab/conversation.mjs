/**
 * Ordinary programs that talk for a while, knowing nothing of overlays: one connection each by HTTP/2,
 * WebSocket and gRPC, over which a question goes every tenth of a second.
 *
 *   node conversation.mjs serve                 prints "ready"
 *   node conversation.mjs talk HOST SECONDS     prints one line of JSON at the end
 */

import { connect as connectHttp2, createServer as createHttp2Server } from 'node:http2'
import { Client, credentials, Server, ServerCredentials } from '@grpc/grpc-js'
import { WebSocket, WebSocketServer } from 'ws'

const PORTS = { http2: 8082, webSocket: 8083, grpc: 8084 }
const INTERVAL_MS = 100
const asBytes = (text) => Buffer.from(text)
const asText = (bytes) => bytes.toString()
const ECHO = {
  path: '/lab.Echo/Chat',
  requestStream: true,
  responseStream: true,
  requestSerialize: asBytes,
  requestDeserialize: asText,
  responseSerialize: asBytes,
  responseDeserialize: asText,
}

const [mode, host, seconds] = process.argv.slice(2)
if (mode === 'serve') await serve()
else process.stdout.write(`${JSON.stringify(await talk(host, 1000 * Number(seconds)))}\n`)
process.exit(0)

async function serve() {
  createHttp2Server((request, response) => request.pipe(response)).listen(PORTS.http2, '::')
  new WebSocketServer({ port: PORTS.webSocket, host: '::' }).on('connection', (socket) => {
    socket.on('message', (data) => socket.send(data.toString()))
  })
  const grpc = new Server()
  grpc.addService(
    { Chat: ECHO },
    { Chat: (call) => call.on('data', (text) => call.write(text)).on('end', () => call.end()) },
  )
  await new Promise((resolve, reject) => {
    grpc.bindAsync(`[::]:${PORTS.grpc}`, ServerCredentials.createInsecure(), (error) =>
      error ? reject(error) : resolve(),
    )
  })
  process.stdout.write('ready\n')
  await new Promise(() => undefined)
}

/** For each program: connections opened, answers that came, and what went wrong. */
async function talk(name, ms) {
  const [http2, webSocket, grpc] = await Promise.all([
    talkHttp2(name, ms),
    talkWebSocket(name, ms),
    talkGrpc(name, ms),
  ])
  return { http2, webSocket, grpc }
}

/** Asks all the time; `ask` resolves when its answer has come. */
async function askFor(ms, ask) {
  const endMs = Date.now() + ms
  let answers = 0
  while (Date.now() < endMs) {
    await ask(String(answers))
    answers += 1
    await new Promise((resolve) => setTimeout(resolve, INTERVAL_MS))
  }
  return answers
}

async function talkHttp2(name, ms) {
  const session = connectHttp2(`http://${name}:${PORTS.http2}`)
  let broken = 0
  session.on('error', () => (broken += 1)).on('goaway', () => (broken += 1))
  const answers = await askFor(ms, async (text) => {
    const stream = session.request({ ':path': '/', ':method': 'POST' })
    stream.end(text)
    let answer = ''
    for await (const chunk of stream) answer += chunk
    if (answer !== text) throw new Error(`HTTP/2: ${answer} for ${text}`)
  })
  session.close()
  return { answers, broken }
}

async function talkWebSocket(name, ms) {
  const socket = new WebSocket(`ws://${name}:${PORTS.webSocket}`)
  let broken = 0
  await new Promise((resolve, reject) => socket.once('open', resolve).once('error', reject))
  socket.on('close', () => (broken += 1))
  const answers = await askFor(ms, async (text) => {
    socket.send(text)
    await new Promise((resolve) => socket.once('message', resolve))
  })
  socket.removeAllListeners('close')
  socket.close()
  return { answers, broken }
}

async function talkGrpc(name, ms) {
  const client = new Client(`${name}:${PORTS.grpc}`, credentials.createInsecure())
  const call = client.makeBidiStreamRequest(ECHO.path, ECHO.requestSerialize, ECHO.responseDeserialize)
  let broken = 0
  call.on('error', () => (broken += 1))
  const answers = await askFor(ms, async (text) => {
    call.write(text)
    await new Promise((resolve) => call.once('data', resolve))
  })
  call.end()
  client.close()
  return { answers, broken }
}
