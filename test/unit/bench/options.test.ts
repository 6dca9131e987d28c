import { describe, expect, test } from 'vitest'
import { parseOptions } from '../../../bench/options.js'

describe('options of the bench', () => {
  test('without words it is five rounds of five seconds with everybody', () => {
    expect(parseOptions([])).toEqual({
      rounds: 5,
      seconds: 5,
      only: [],
      peers: [],
      isQuick: false,
      jsonPath: 'build/bench/result.json',
      writesDocs: false,
    })
  })

  test('a quick run is one short round, unless told otherwise', () => {
    expect(parseOptions(['--quick'])).toMatchObject({ rounds: 1, seconds: 2, isQuick: true })
    expect(parseOptions(['--quick', '--rounds', '3'])).toMatchObject({ rounds: 3, seconds: 2 })
  })

  test('names and peers may come several at once', () => {
    const options = parseOptions([
      '--only',
      'overlay, raw veth',
      '--only=new',
      '--peer',
      'new=/opt/wg --flag=1',
      '--peer',
      'other=other-go',
    ])
    expect(options?.only).toEqual(['overlay', 'raw veth', 'new'])
    expect(options?.peers).toEqual([
      { name: 'new', command: ['/opt/wg', '--flag=1'] },
      { name: 'other', command: ['other-go'] },
    ])
  })

  test('help is no run', () => {
    expect(parseOptions(['--help'])).toBeUndefined()
  })

  test.each([
    [['--rounds', '0'], '--rounds takes a whole number from 1 to 100, not 0'],
    [['--seconds', '1.5'], '--seconds takes a whole number from 1 to 60, not 1.5'],
    [['--peer', 'name'], '--peer takes NAME=COMMAND, not name'],
    [['--peer', '=command'], '--peer takes NAME=COMMAND, not =command'],
    [['--peer', 'name= '], '--peer takes NAME=COMMAND, not name= '],
    [['--fast'], "Unknown option '--fast'"],
  ])('%j is refused with the reason', (words, reason) => {
    expect(() => parseOptions(words)).toThrow(reason)
  })
})
