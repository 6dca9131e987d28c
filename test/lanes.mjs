#!/usr/bin/env node
/**
 * Runs the tests that mostly wait, those with network namespaces, side by side: two lanes, each taking
 * the next job when it is free. What measures time comes last and has the machine for itself.
 *
 *   node test/lanes.mjs
 *
 * INVARIANT: as root, a job has directories of its own for sockets, state and names of namespaces, so
 * that no job sees another's interfaces. What it prints is shown whole when it ends.
 */

import { spawn } from 'node:child_process'
import { join } from 'node:path'

const LANES = 2
const VITEST = join(import.meta.dirname, '../node_modules/vitest/vitest.mjs')
const PORTABLE = { OVERLAY_DATAPLANE: 'portable' }

/** The longest first, so that both lanes end at about the same time. */
const JOBS = [
  { title: 'lab', project: 'lab' },
  { title: 'interop, portable data plane', project: 'interop', env: PORTABLE },
  { title: 'interop', project: 'interop' },
  { title: 'timers', project: 'timers' },
  { title: 'timers, portable data plane', project: 'timers', env: PORTABLE },
]
const ALONE = [{ title: 'what measures time', project: 'quiet' }]

/** Mounts what jobs would share, and becomes the program given. A resolver's file in /run stays. */
const PRIVATELY = `
set -e
resolver=$(readlink -f /etc/resolv.conf || true)
text=$(cat "$resolver" 2>/dev/null || true)
mount -t tmpfs tmpfs /run
mkdir -p /run/sshd /run/lock /run/netns
case $resolver in /run/*) mkdir -p "$(dirname "$resolver")"; printf '%s\\n' "$text" >"$resolver" ;; esac
for directory in /var/lib/overlay /var/lib/overlay-hub /var/lib/overlay-relay /var/log/overlay /etc/overlay /etc/netns; do
  if [ -d "$directory" ]; then mount -t tmpfs tmpfs "$directory"; fi
done
exec "$@"
`

const running = new Set()
let isStopped = false

function say(text) {
  process.stderr.write(`${text}\n`)
}

function commandOf({ project }) {
  const command = [process.execPath, VITEST, 'run', '--project', project]
  if (process.getuid?.() !== 0) return command
  return ['unshare', '-m', '--propagation', 'private', 'sh', '-c', PRIVATELY, 'sh', ...command]
}

/** True if all its tests passed. */
async function run(job) {
  const startMs = performance.now()
  say(`${job.title}: begins`)
  const [program, ...args] = commandOf(job)
  const env = { ...process.env, ...job.env }
  const child = spawn(program, args, { env, stdio: ['ignore', 'pipe', 'pipe'] })
  running.add(child)
  const output = []
  for (const stream of [child.stdout, child.stderr]) stream.on('data', (bytes) => output.push(bytes))
  const isPassed = await new Promise((resolve) => {
    child.once('error', (error) => {
      output.push(Buffer.from(`cannot run ${program}: ${error.message}\n`))
      resolve(false)
    })
    child.once('close', (code) => resolve(code === 0))
  })
  running.delete(child)
  const seconds = Math.round((performance.now() - startMs) / 1000)
  process.stdout.write(Buffer.concat(output))
  say(`${job.title}: ${isPassed ? 'passed' : 'FAILED'} after ${seconds} s`)
  return isPassed
}

/** True if all passed. A failure stops no other job: one run shows them all. */
async function runAll(jobs, lanes) {
  const waiting = [...jobs]
  let areAllPassed = true
  const lane = async () => {
    for (let job = waiting.shift(); job !== undefined && !isStopped; job = waiting.shift()) {
      if (!(await run(job))) areAllPassed = false
    }
  }
  await Promise.all(Array.from({ length: lanes }, lane))
  return areAllPassed
}

for (const signal of ['SIGINT', 'SIGTERM']) {
  process.once(signal, () => {
    for (const child of running) child.kill(signal)
    isStopped = true
  })
}

const arePassed = await runAll(JOBS, LANES)
const areQuietPassed = await runAll(ALONE, 1)
if (!arePassed || !areQuietPassed || isStopped) process.exitCode = 1
