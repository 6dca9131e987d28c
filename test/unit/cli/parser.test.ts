import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { UsageError } from '../../../src/base/errors.js'
import { isGroup } from '../../../src/cli/command-path.js'
import { COMMANDS } from '../../../src/cli/commands.js'
import { type Invocation, parseCommandLine } from '../../../src/cli/parser.js'

async function parse(line: string): Promise<Invocation | undefined> {
  return await parseCommandLine(line === '' ? [] : line.split(' '), COMMANDS)
}

async function hintOf(line: string): Promise<string> {
  const error = await parse(line).catch((caught: unknown) => caught)
  expect(error).toBeInstanceOf(UsageError)
  return error instanceof UsageError ? error.hint : ''
}

let printed = ''

beforeEach(() => {
  printed = ''
  vi.spyOn(console, 'log').mockImplementation((text: unknown) => {
    printed += String(text)
  })
})

afterEach(() => {
  vi.restoreAllMocks()
})

describe('the command line', () => {
  it('leads to a command, its target and its flags', async () => {
    const invocation = await parse('up ./wg0.conf --reload --json')
    expect(invocation?.command.name).toBe('up')
    expect(invocation?.input.words).toEqual(['./wg0.conf'])
    expect(invocation?.input.has('reload')).toBe(true)
    expect(invocation?.input.has('foreground')).toBe(false)
    expect(invocation?.input.output).toEqual({ isJson: true, isVerbose: false })
  })

  it('takes any number of words where a command wants them', async () => {
    const invocation = await parse('netcheck 192.0.2.1 [2001:db8::1]:3478 007 --json')
    expect(invocation?.input.words).toEqual(['192.0.2.1', '[2001:db8::1]:3478', '007'])
    expect(invocation?.input.output.isJson).toBe(true)
  })

  it('takes a flag that is given twice as given', async () => {
    expect((await parse('status --json --json --watch --watch'))?.input.has('watch')).toBe(true)
  })

  it('knows short flags', async () => {
    expect((await parse('device wg0 -f'))?.input.has('foreground')).toBe(true)
  })

  it('takes a target that looks like a number as it is written', async () => {
    expect((await parse('down 007'))?.input.words).toEqual(['007'])
  })

  it('suggests the nearest command', async () => {
    expect(await hintOf('dwon wg0')).toBe('did you mean: overlay down')
    expect(await hintOf('statsu')).toBe('did you mean: overlay status')
    expect(await hintOf('xyzzyx')).toContain('overlay --help')
  })

  it('suggests the nearest option', async () => {
    expect(await hintOf('status --wach')).toContain('did you mean --watch?')
    expect(await hintOf('up wg0 --foregroud')).toContain('did you mean --foreground?')
  })

  it('says what a command needs', async () => {
    await expect(parse('check')).rejects.toThrow('overlay check needs <target>')
  })

  it.each(['', 'check', 'up a b', 'genkey extra', 'status --no-such'])('refuses "%s"', async (line) => {
    await expect(parse(line)).rejects.toBeInstanceOf(UsageError)
  })

  it('leads to commands behind a word, wherever the options of the group stand', async () => {
    for (const line of ['hub --state /s token create --uses 3', 'hub token create --state=/s --uses 3']) {
      const invocation = await parse(line)
      expect(invocation?.command.name).toBe('create')
      expect(invocation?.input.value('state')).toBe('/s')
      expect(invocation?.input.value('uses')).toBe('3')
    }
    expect((await parse('hub rename a b'))?.input.words).toEqual(['a', 'b'])
  })

  it('takes words where a group has no such command, if it says so', async () => {
    const invocation = await parse('lab portRestricted fullCone --tries 3')
    expect(invocation?.input.words).toEqual(['portRestricted', 'fullCone'])
    expect(invocation?.input.value('tries')).toBe('3')
    expect((await parse('lab'))?.command.name).toBe('pairs')
    expect((await parse('lab bench --long'))?.command.name).toBe('bench')
  })

  it('swallows nothing: what a command does not take is refused, with who takes it', async () => {
    expect(await hintOf('hub nodes --consent')).toBe('it belongs to: overlay hub init')
    expect(await hintOf('hub start --port 9544')).toBe('it belongs to: overlay hub init')
    expect(await hintOf('lab bench --rtt 3')).toContain('overlay lab faults')
  })

  it('names who takes an option, wherever it stands', async () => {
    await expect(parse('hub --port 1 nodes')).rejects.toThrow('overlay hub does not take --port')
    expect(await hintOf('hub --port 1 nodes')).toBe('it belongs to: overlay hub init')
    expect(await hintOf('--port 1 hub nodes')).toBe('it belongs to: overlay hub init, overlay relay')
    expect(await hintOf('up wg0 --ephemeral')).toBe('it belongs to: overlay hub token create')
    expect(await hintOf('relay --tries 3')).toContain('overlay lab, overlay lab matrix')
    expect(await hintOf('--reload upp wg0')).toBe('did you mean: overlay up')
  })

  it('tells an argument too many from an option', async () => {
    await expect(parse('genkey extra')).rejects.toThrow('overlay genkey does not take the argument "extra"')
    await expect(parse('up wg0 --xyzzyx')).rejects.toThrow('overlay up does not take --xyzzyx')
  })

  const groups = COMMANDS.filter(isGroup)
  it.each(groups.map((group) => [group.name, group] as const))(
    'names every command of %s on its page, also those behind another word',
    async (name, group) => {
      await parse(`${name} --help`)
      const page = printed.replaceAll(/\s+/g, ' ')
      for (const entry of group.commands) {
        if (!isGroup(entry) && entry.isInternal === true) continue
        expect(page).toContain(`overlay ${name} ${entry.name}`)
        if (isGroup(entry)) expect(page).toContain(entry.commands.map((command) => command.name).join(', '))
      }
    },
  )

  it.each([
    'hub nodes planner',
    'hub start home',
    'hub status extra',
    'hub token create planner',
    'hub remove a b',
    'lab faults --v6',
    'lab bench extra',
    'hub init --approve=yes',
    'hub init --no-port',
    'hub init --port 1 --port 2',
    'up wg0 --foreground=1',
  ])('refuses "%s" instead of doing half of it', async (line) => {
    await expect(parse(line)).rejects.toBeInstanceOf(UsageError)
  })

  it('names the commands of a group', async () => {
    expect(await hintOf('hub')).toContain('init, start')
    expect(await hintOf('hub nodez')).toBe('did you mean: overlay hub nodes')
    expect(await hintOf('hub token')).toContain('create')
  })

  it('takes words with a dash where a command wants them', async () => {
    const invocation = await parse('hub tag planner +web -db -v --json')
    expect(invocation?.input.words).toEqual(['planner', '+web', '-db', '-v'])
    expect(invocation?.input.output).toEqual({ isJson: true, isVerbose: false })
    expect((await parse('hub --state /s tag planner -prod'))?.input.words).toEqual(['planner', '-prod'])
    await expect(parse('hub tag planner')).rejects.toThrow('needs <node> <changes..>')
    await expect(parse('hub tag planner --db')).rejects.toBeInstanceOf(UsageError)
  })

  it('takes a name that looks like a number as it is written', async () => {
    expect((await parse('hub remove 1e3'))?.input.words).toEqual(['1e3'])
    expect((await parse('hub remove 0x10'))?.input.words).toEqual(['0x10'])
  })

  it.each(COMMANDS.map((command) => command.name))('helps with %s by an example', async (name) => {
    expect(await parse(`${name} --help`)).toBeUndefined()
    expect(printed).toContain('Examples:')
    expect(printed).toContain(`overlay ${name}`)
  })
})
