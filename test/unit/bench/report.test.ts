import { describe, expect, test } from 'vitest'
import type { Sample } from '../../../bench/measures.js'
import { microTables, ratiosTo, tablesOf } from '../../../bench/report.js'
import { formatSummary, formatTable } from '../../../bench/table.js'

const SAMPLES: ReadonlyMap<string, readonly Sample[]> = new Map([
  ['overlay', [{ tcp1ThereMbps: 3000, cpuSPerGb: 2 }, { tcp1ThereMbps: 4000 }]],
  ['overlay with 1000 peers', [{ tcp1ThereMbps: 2700 }, { tcp1ThereMbps: 4000 }]],
  ['wireguard-go', [{ tcp1ThereMbps: 1000, cpuSPerGb: 8 }, { tcp1ThereMbps: 2000 }]],
])

describe('tables of the bench', () => {
  test('columns are as wide as their widest cell', () => {
    const text = formatTable({ title: 'Speed', header: ['', 'A→B'], rows: [['overlay', '1'], ['x']] })
    expect(text).toBe(
      [
        '**Speed**',
        '',
        '|         | A→B |',
        '|---------|-----|',
        '| overlay | 1   |',
        '| x       |     |',
      ].join('\n'),
    )
  })

  test('a range is written where there is one', () => {
    const summary = { median: 2, min: 1, max: 3.25, count: 3 }
    expect(formatSummary(summary, 1)).toBe('2.0 (1.0–3.3)')
    expect(formatSummary({ ...summary, min: 2.01, max: 2.02 }, 1)).toBe('2.0')
    expect(formatSummary(undefined, 1)).toBe('–')
  })

  test('groups and contenders without figures are left out', () => {
    const tables = tablesOf(SAMPLES, [])
    expect(tables.map(({ title }) => title)).toEqual([
      'TCP throughput, Mbit/s',
      'CPU, memory, start',
      '1000 peers against one, TCP 1 flow A→B',
    ])
    expect(tables[1]?.rows.map(([contender]) => contender)).toEqual(['overlay', 'wireguard-go'])
    expect(tables[2]?.rows).toEqual([['overlay', '0.95 (0.90–1.00)']])
  })

  test('ratios are medians over pairs of the same round', () => {
    expect(ratiosTo(SAMPLES, 'wireguard-go').overlay).toEqual({
      tcp1ThereMbps: { median: 2.5, min: 2, max: 3, count: 2 },
      cpuSPerGb: { median: 0.25, min: 0.25, max: 0.25, count: 1 },
    })
    const [table] = tablesOf(SAMPLES, ['wireguard-go', 'absent']).slice(2)
    expect(table).toEqual({
      title: 'Ratio to wireguard-go',
      header: ['', 'overlay', 'overlay with 1000 peers'],
      rows: [
        ['TCP 1 flow A→B', '2.50 (2.00–3.00)', '2.35 (2.00–2.70)'],
        ['CPU s/GB', '0.25', '–'],
      ],
    })
  })

  test('nested figures of a micro-bench become rows', () => {
    const figures = { cpu: 'x', seal: { '64': 1.5, '1420': [2, 3] } }
    expect(microTables([{ name: 'aead-bench', figures }])[0]?.rows).toEqual([
      ['cpu', 'x'],
      ['seal.64', '1.5'],
      ['seal.1420.0', '2'],
      ['seal.1420.1', '3'],
    ])
  })
})
