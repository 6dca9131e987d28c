import { expect, it } from 'vitest'
import { loadSqlite } from '../../../../src/hub/io/sqlite-driver.js'

it('opens a database on every Node, and nobody is warned of it', async () => {
  const warnings: string[] = []
  const note = ({ message }: Error) => warnings.push(message)
  process.on('warning', note)
  const { emitWarning } = process
  const database = (await loadSqlite())(':memory:')
  expect(process.emitWarning).toBe(emitWarning)
  database.exec('CREATE TABLE words (word TEXT) STRICT')
  database.prepare('INSERT INTO words VALUES (?)').run('one')
  expect(database.prepare('SELECT word FROM words').all()).toMatchObject([{ word: 'one' }])
  expect(database.prepare('SELECT word FROM words WHERE word = ?').get('two')).toBeUndefined()
  database.close()
  // Warnings come on the next tick.
  await new Promise(setImmediate)
  process.off('warning', note)
  expect(warnings).toEqual([])
})
