import { type ChildProcess, spawn } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { splitHookOutput } from '../../../src/daemon/guard.js'
import { tryProcessStart } from '../../../src/platform/processes.js'

const GUARD = fileURLToPath(new URL('../../../build/Release/overlay-guard', import.meta.url))

let directory: string
let guard: ChildProcess | undefined

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'overlay-guard-'))
})

afterEach(() => {
  guard?.kill('SIGKILL')
  rmSync(directory, { recursive: true, force: true })
})

/** What the scripts below have written, a line each. */
function events(): string[] {
  try {
    return readFileSync(join(directory, 'log'), 'utf8').split('\n').filter(Boolean)
  } catch {
    return []
  }
}

/**
 * Guards a daemon that is a shell script; `say WORDS` writes an event. Gives how the guard ended. `starter`: words
 * before those of the guard.
 */
function guardOf(daemon: string, starter: readonly string[] = []): Promise<number | NodeJS.Signals> {
  const prelude = `say() { echo "$@" >> ${directory}/log; }; `
  const script = (text: string): string[] => ['/bin/sh', '-c', `${prelude}${text}`, 'sh']
  const parts = [
    script(`say "start ($OVERLAY_RESTARTED)"; ${daemon}`),
    script('say undo $OVERLAY_ENDING'),
    script(
      'say "hooks $1"; case $1 in PostUp) exit 7;; PreDown) say "pid $$";; esac; case $1 in Pre*) exec sleep 60;; esac',
    ),
  ]
  const [program = GUARD, ...words] = [...starter, GUARD, ...parts.flatMap((part) => ['--', ...part])]
  const child = spawn(program, words, {
    stdio: ['ignore', 'ignore', 'inherit', 'pipe', 'ignore', 'pipe'],
  })
  guard = child
  return new Promise((resolve) => child.on('exit', (code, signal) => resolve(code ?? signal ?? -1)))
}

const untilEvents = (wanted: readonly string[]): Promise<void> =>
  expect.poll(events, { timeout: 10_000 }).toEqual(wanted)

/** Becomes ready and waits to be ended. */
const STAYS = 'echo ready >&4; sleep 60 & trap "kill $!; say term; exit 0" TERM; say up $$; wait'

describe('a guard', () => {
  it('starts a daemon again that was killed, after undoing what it left', async () => {
    const end = guardOf(`case $OVERLAY_RESTARTED in "") echo ready >&4; kill -9 $$;; *) exit 0;; esac`)
    expect(await end).toBe(0)
    expect(events()).toEqual(['start ()', 'undo', 'start (ended by signal 9)'])
  })

  it('starts one again that ended with an error', async () => {
    const end = guardOf(`case $OVERLAY_RESTARTED in "") echo ready >&4; exit 3;; *) exit 0;; esac`)
    expect(await end).toBe(0)
    expect(events()).toEqual(['start ()', 'undo', 'start (ended with exit code 3)'])
  })

  it('ends with a daemon that ended well', async () => {
    expect(await guardOf('echo ready >&4; exit 0')).toBe(0)
    expect(events()).toEqual(['start ()'])
  })

  it('ends with one that never came up, and as it did', async () => {
    expect(await guardOf('exit 3')).toBe(3)
    expect(events()).toEqual(['start ()'])
  })

  it('undoes what one left that was killed before it was up', async () => {
    expect(await guardOf('kill -9 $$')).toBe('SIGKILL')
    expect(events()).toEqual(['start ()', 'undo 1'])
  })

  it('ends the daemon when it is ended', async () => {
    const end = guardOf(STAYS)
    await expect.poll(() => events().at(-1), { timeout: 10_000 }).toMatch(/^up /)
    guard?.kill('SIGTERM')
    expect(await end).toBe(0)
    expect(events().at(-1)).toBe('term')
  })

  it('starts nothing again when it is ended while it waits', async () => {
    const end = guardOf('echo ready >&4; exit 3')
    await untilEvents(['start ()', 'undo'])
    guard?.kill('SIGTERM')
    expect(await end).toBe(3)
    expect(events()).toEqual(['start ()', 'undo'])
  })

  it('runs hooks and tells how they ended', async () => {
    const ask = (phase: string): string => `echo hooks ${phase} >&4; read -r answer <&4; say "$answer"; `
    expect(await guardOf(`${ask('PostUp')}${ask('PostDown')}exit 0`)).toBe(0)
    expect(events()).toEqual(['start ()', 'hooks PostUp', 'done 7', 'hooks PostDown', 'done 0'])
  })

  it('ends hooks that the daemon gives up, or that nobody waits for any more', async () => {
    const cancel = 'echo hooks PreUp >&4; echo cancel >&4; read -r answer <&4; say "$answer"; '
    expect(await guardOf(`${cancel}echo hooks PreUp >&4; exit 0`)).toBe(0)
    expect(events()).toContain('done 143')
  })

  it.each(['hooks --json', 'hooks Post Up', `${'x'.repeat(200)}`])(
    'closes on the request "%s"',
    async (text) => {
      expect(await guardOf(`echo ${text} >&4; read -r answer <&4; say "end $?"; exit 0`)).toBe(0)
      expect(events()).toEqual(['start ()', 'end 1'])
    },
  )

  it('leaves a daemon that was started again no end of its own socket', async () => {
    const second = 'say up; read -r answer <&4; say end'
    const end = guardOf(`case $OVERLAY_RESTARTED in "") echo ready >&4; kill -9 $$;; *) ${second};; esac`)
    await expect.poll(() => events().at(-1), { timeout: 10_000 }).toBe('up')
    guard?.kill('SIGKILL')
    await end
    await expect.poll(() => events().at(-1), { timeout: 10_000 }).toBe('end')
  })

  it('leaves no hooks behind that nobody waits for when it is killed', async () => {
    const end = guardOf('echo hooks PreDown >&4; read -r answer <&4')
    await expect.poll(() => events().at(-1), { timeout: 10_000 }).toMatch(/^pid /)
    guard?.kill('SIGKILL')
    await end
    const pid = Number(events().at(-1)?.slice('pid '.length))
    await expect.poll(() => tryProcessStart(pid), { timeout: 10_000 }).toBeUndefined()
  })

  it('knows nothing of the guard in whose hook the command runs', async () => {
    const others = ['OVERLAY_GUARD=1', 'OVERLAY_RESTARTED=of another', 'OVERLAY_ENDING=1']
    const daemon = `case $OVERLAY_RESTARTED in "") echo ready >&4; kill -9 $$;; *) exit 0;; esac`
    expect(await guardOf(daemon, ['/usr/bin/env', ...others])).toBe(0)
    expect(events()).toEqual(['start ()', 'undo', 'start (ended by signal 9)'])
  })

  it('hands nothing on that the command was started with', async () => {
    expect(await guardOf('test -e /proc/$$/fd/5 && say open; exit 0')).toBe(0)
    expect(events()).toEqual(['start ()'])
  })

  it('gives the daemon no new privileges and no core files', async () => {
    const show = 'say $(grep NoNewPrivs /proc/self/status) core $(ulimit -c)'
    expect(await guardOf(`${show}; exit 0`)).toBe(0)
    expect(events()[1]).toBe('NoNewPrivs: 1 core 0')
  })

  it.skipIf(process.getuid?.() !== 0)('leaves a daemon of root two capabilities', async () => {
    expect(
      await guardOf('say $(grep CapBnd /proc/self/status) $(grep CapPrm /proc/self/status); exit 0'),
    ).toBe(0)
    // CAP_NET_BIND_SERVICE is 10, CAP_NET_ADMIN is 12.
    const mask = (2n ** 10n + 2n ** 12n).toString(16).padStart(16, '0')
    expect(events()[1]).toBe(`CapBnd: ${mask} CapPrm: ${mask}`)
  })

  it.skipIf(process.getuid?.() !== 0).each([
    ['with inheritable capabilities', ['--inh-caps=+net_raw']],
    ['that may not lower its bounding set', ['--bounding-set=-setpcap']],
  ])('leaves it no more when started by a command %s', async (_name, options) => {
    const show = 'say $(grep -E "Cap(Inh|Prm|Eff)" /proc/self/status | cut -f 2); exit 0'
    expect(await guardOf(show, ['setpriv', ...options])).toBe(0)
    const mask = (2n ** 10n + 2n ** 12n).toString(16).padStart(16, '0')
    expect(events()[1]).toBe(`${'0'.repeat(16)} ${mask} ${mask}`)
  })
})

describe('what hooks and their helper write', () => {
  const line = (words: string): string => `2026-12-01T09:16:46.988Z ${words}`

  it('is told apart', () => {
    const text = [
      line('info hook.run name="PostUp hook 1 of 2"'),
      'one',
      line('info hook.run name="PostUp hook 2 of 2"'),
      `two${line('error hook.failed name="PostUp hook 2 of 2" reason="ended with exit code 3"')}`,
    ]
    const failure = 'PostUp hook 2 of 2 ended with exit code 3'
    expect(splitHookOutput(text.join('\n'))).toEqual({ failure, printed: 'one\ntwo' })
  })

  it('may be nothing', () => {
    expect(splitHookOutput('')).toEqual({ failure: undefined, printed: '' })
  })
})
