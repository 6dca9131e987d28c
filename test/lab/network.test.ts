/**
 * A network as its users have it: a hub, nodes behind two NATs, ordinary programs by name, and what may go
 * wrong with each part.
 */

import { chmodSync, existsSync, mkdirSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { Internet } from '../../src/lab/internet.js'
import { LabNetwork, type LabNode } from '../../src/lab/network.js'
import type { Site } from '../../src/lab/site.js'
import { CONVERSATION, Conversation } from '../support/conversation.js'
import { until } from '../support/lab.js'
import { requirement } from '../support/requirement.js'

requirement(
  'a network',
  ['ip', 'nft', 'conntrack', 'curl', 'ssh', 'sshd', 'scp', 'ssh-keygen', 'getent'],
  () => {
    let internet: Internet
    let network: LabNetwork
    let a: LabNode
    let b: LabNode
    let siteA: Site

    beforeAll(async () => {
      internet = await Internet.open({ rttMs: 20, lossPercent: 0 })
      network = await LabNetwork.start(internet)
      siteA = internet.addSite('portRestricted')
      a = await network.addNode(siteA, 'alice')
      b = await network.addNode(internet.addSite('fullCone'), 'bob')
      await Promise.all([a.up(), b.up()])
      await a.untilKnown('bob')
    })
    afterAll(() => internet?.close())

    async function pathOf(node: LabNode, to: string): Promise<string> {
      return (await node.why(to)).kind
    }

    /** Relayed, until it is mended. */
    async function relayed(): Promise<void> {
      internet.setFault(siteA, 'serversOnly')
      await until('the path is the relay', async () => {
        await a.ping('bob', '--count', '1')
        return (await pathOf(a, 'bob')) === 'relay'
      })
    }

    async function direct(): Promise<void> {
      internet.setFault(siteA, undefined)
      await until('the path is direct', async () => {
        await a.ping('bob', '--until-direct', '--count', '20')
        return (await pathOf(a, 'bob')) !== 'relay'
      })
    }

    describe('joining', () => {
      test('writes a file and keys for their owner alone', () => {
        const conf = join(internet.directory, `${a.interfaceName}.conf`)
        expect(readFileSync(conf, 'utf8')).toContain('[Overlay]')
        for (const file of [conf, conf.replace('.conf', '.key'), conf.replace('.conf', '.identity')]) {
          expect(statSync(file).mode & 0o777).toBe(0o600)
        }
      })

      test('fails with a reason and the next thing to type, and leaves nothing', async () => {
        const file = join(internet.directory, 'none.conf')
        const token = (await network.hub('token', 'create')).trim()
        const torn = await a.try('join', token.slice(0, -3), '--file', file)
        expect([torn.code, torn.stderr]).toEqual([6, expect.stringContaining('a part of it is missing')])
        expect(torn.stderr).not.toContain(token.slice(0, 40))
        const taken = await a.try('join', token, '--file', file, '--name', 'bob')
        expect(taken.stderr).toContain('the name "bob" is taken')
        expect(taken.stderr).toContain('choose another with --name')
        expect((await a.try('check', file)).stderr).toContain('there is no file')
        const twice = await a.try(
          'join',
          token,
          '--file',
          join(internet.directory, `${a.interfaceName}.conf`),
        )
        expect([twice.code, twice.stderr]).toEqual([
          1,
          expect.stringContaining('is up: it goes on by itself'),
        ])
      })
    })

    describe('ordinary programs reach another node by name', () => {
      beforeAll(async () => {
        await new Promise<void>((resolve) => {
          b.site.host.start(
            [process.execPath, CONVERSATION, 'serve'],
            (line) => line === 'ready' && resolve(),
          )
        })
        startSshd()
      })

      /** A server with keys of its own, for whoever has the client's. */
      function startSshd(): void {
        const directory = join(internet.directory, 'ssh')
        mkdirSync(directory)
        for (const key of ['host', 'client']) {
          b.site.host.runSync('ssh-keygen', '-q', '-t', 'ed25519', '-N', '', '-f', join(directory, key))
        }
        writeFileSync(join(directory, 'authorized'), readFileSync(join(directory, 'client.pub')))
        chmodSync(join(directory, 'authorized'), 0o600)
        mkdirSync('/run/sshd', { recursive: true })
        const config = [
          'Port 2222',
          `HostKey ${join(directory, 'host')}`,
          `AuthorizedKeysFile ${join(directory, 'authorized')}`,
          'PermitRootLogin yes',
          'StrictModes no',
          'PidFile none',
          'Subsystem sftp internal-sftp',
        ]
        writeFileSync(join(directory, 'config'), `${config.join('\n')}\n`)
        b.site.host.start(['/usr/sbin/sshd', '-D', '-e', '-f', join(directory, 'config')])
      }

      function sshWords(program: 'ssh' | 'scp'): string[] {
        const options = [
          'StrictHostKeyChecking=no',
          'UserKnownHostsFile=/dev/null',
          'ConnectTimeout=10',
          'LogLevel=ERROR',
        ]
        const key = join(internet.directory, 'ssh/client')
        return [
          program,
          program === 'ssh' ? '-p' : '-P',
          '2222',
          '-i',
          key,
          ...options.flatMap((option) => ['-o', option]),
        ]
      }

      test('names lead to addresses, and back', async () => {
        const { stdout } = await a.site.host.run(['getent', 'ahosts', 'bob.lab.overlay'])
        expect(stdout).toContain(await b.address())
        expect((await a.site.host.run(['getent', 'ahosts', 'bob'])).stdout).toContain(await b.address())
        const back = await a.site.host.run(['getent', 'hosts', await b.address()])
        expect(back.stdout).toContain('bob.lab.overlay')
        expect((await a.site.host.run(['getent', 'hosts', 'nobody.lab.overlay'])).code).toBe(2)
      })

      test.each(['relayed', 'direct'] as const)('ssh, scp and curl, %s', async (way) => {
        if (way === 'relayed') await relayed()
        else await direct()
        const host = 'bob.lab.overlay'
        await until(
          'sshd answers',
          async () => (await a.site.host.run([...sshWords('ssh'), `root@${host}`, 'true'])).code === 0,
        )
        const shell = await a.site.host.run([...sshWords('ssh'), `root@${host}`, 'echo over $((40 + 2))'])
        expect(shell.stdout).toBe('over 42\n')
        const file = join(internet.directory, `file-${way}`)
        writeFileSync(file, 'x'.repeat(300_000))
        const copy = await a.site.host.run([...sshWords('scp'), file, `root@${host}:${file}.copy`])
        expect([copy.stderr, copy.code]).toEqual(['', 0])
        expect(readFileSync(`${file}.copy`, 'utf8')).toHaveLength(300_000)
        for (const [option, port, version] of [
          ['--http1.1', 8081, '1.1'],
          ['--http2-prior-knowledge', 8082, '2'],
        ]) {
          const words = ['curl', '-sS', String(option), '-w', ' %{http_version}', '-d', 'over HTTP']
          const { stdout } = await a.site.host.run([...words, `http://${host}:${port}/`])
          expect(stdout).toBe(`over HTTP ${version}`)
        }
        expect((await pathOf(a, 'bob')) === 'relay').toBe(way === 'relayed')
      })

      test('an ssh session and a copy go on while relay becomes direct', async () => {
        await relayed()
        const host = 'root@bob.lab.overlay'
        const [ended, file] = [join(internet.directory, 'ended'), join(internet.directory, 'slow')]
        writeFileSync(file, 'x'.repeat(600_000))
        // Namespaces share the disk: the far end sees when the path has changed.
        const loop = `while [ ! -e ${ended} ]; do echo still; sleep 0.1; done; echo end`
        const session = a.site.host.run([...sshWords('ssh'), host, loop])
        // 600 kB at 400 kbit/s: longer than the path takes to change.
        const copy = a.site.host.run([...sshWords('scp'), '-l', '400', file, `${host}:${file}.copy`])
        expect(await pathOf(a, 'bob')).toBe('relay')
        await direct()
        expect(await pathOf(a, 'bob')).not.toBe('relay')
        expect(existsSync(`${file}.copy`) && statSync(`${file}.copy`).size).not.toBe(600_000)
        writeFileSync(ended, '')
        expect((await session).stdout).toMatch(/^(still\n)+end\n$/)
        expect((await copy).code).toBe(0)
        expect(readFileSync(`${file}.copy`, 'utf8')).toHaveLength(600_000)
      })

      test('HTTP/1.1, HTTP/2, WebSocket and gRPC go on while relay becomes direct, and direct relay', async () => {
        await relayed()
        const conversation = new Conversation(a, 'bob.lab.overlay')
        await conversation.untilMoreAnswers()
        expect(await pathOf(a, 'bob')).toBe('relay')
        await direct()
        await conversation.untilMoreAnswers()
        expect(await pathOf(a, 'bob')).not.toBe('relay')
        await relayed()
        await conversation.untilMoreAnswers()
        const talks = await conversation.end()
        expect(Object.keys(talks)).toEqual(['http1', 'http2', 'webSocket', 'grpc'])
        for (const { broken } of Object.values(talks)) expect(broken).toBe(0)
        await direct()
      })
    })

    test('the data plane in TypeScript carries a network too', async () => {
      const frank = await network.addNode(internet.addSite('portRestricted'), 'frank', {
        OVERLAY_DATAPLANE: 'portable',
      })
      await frank.up()
      await frank.untilKnown('alice')
      await frank.ping('alice', '--until-direct')
      expect(await pathOf(frank, 'alice')).toBe('punched')
      await frank.down()
      await network.hub('remove', 'frank')
    })

    test('netcheck asks the servers of the network, and names its relays', async () => {
      const text = await a.overlay('netcheck', '--interface', a.interfaceName)
      expect(text).toContain('IPv4: UDP works')
      expect(text).toMatch(/relay 203\.0\.113\.1:443: connected by TCP, \d+(\.\d)? ms, home/)
    })

    describe('parts that fail', () => {
      test('the hub: existing links do not notice, and it comes back with all it knew', async () => {
        await direct()
        const { pid } = JSON.parse(await network.hub('status', '--json')) as { pid: number }
        process.kill(pid, 'SIGKILL')
        expect((await a.ping('bob', '--count', '2')).code).toBe(0)
        expect(await pathOf(a, 'bob')).not.toBe('relay')
        await network.startHub()
        const nodes = JSON.parse(await network.hub('nodes', '--json')) as { name: string }[]
        expect(nodes.map(({ name }) => name).sort()).toEqual(['alice', 'bob'])
        await until('both are back', async () => {
          const list = JSON.parse(await network.hub('nodes', '--json')) as { isOnline: boolean }[]
          return list.every(({ isOnline }) => isOnline)
        })
      })

      test('a node that is killed leaves nothing behind once it was taken down, and comes up again', async () => {
        await b.kill()
        await until('the daemon is gone', async () =>
          (await b.try('status', b.interfaceName)).stdout.includes('daemon died'),
        )
        expect(await b.overlay('down', b.interfaceName)).toContain('is down')
        const conf = await b.site.host.run(['cat', '/etc/resolv.conf'])
        expect(conf.stdout).not.toContain('overlay')
        await b.up()
        await b.untilKnown('alice')
        expect((await b.ping('alice', '--count', '2')).code).toBe(0)
      })

      test('a node whose daemon crashes comes back by itself', async () => {
        const { pid } = await b.status()
        await b.crash()
        await until('another daemon is up', async () => {
          const status = await b.tryStatus()
          return status?.state === 'running' && status.pid !== pid
        })
        await b.untilKnown('alice')
        expect((await b.ping('alice', '--count', '2')).code).toBe(0)
        expect((await a.ping('bob', '--count', '2')).code).toBe(0)
      })

      test('a node that is removed is out within a second, for everybody', async () => {
        const carol = await network.addNode(internet.addSite('portRestricted'), 'carol')
        await carol.up()
        await carol.untilKnown('alice')
        await a.untilKnown('carol')
        await network.hub('remove', 'carol')
        await until(
          'alice has forgotten carol',
          async () => (await a.try('why', 'carol', '--interface', a.interfaceName)).code === 5,
        )
        await until('carol knows', async () =>
          (await carol.overlay('status', carol.interfaceName)).includes('was removed'),
        )
        expect((await carol.ping('alice', '--count', '1')).code).not.toBe(0)
        const audit = await network.hub('audit')
        expect(audit).toMatch(/node\.removed +carol/)
        await carol.down()
      })

      test('a node in the foreground ends by itself when it is told to', async () => {
        const grace = await network.addNode(internet.addSite('symmetricRandom'), 'grace')
        const child = grace.site.host.start(grace.command('up', grace.file, '--foreground'))
        const ended = new Promise((resolve) => child.once('exit', resolve))
        await grace.untilKnown('alice')
        await grace.ping('alice', '--until-direct', '--count', '40')
        child.kill('SIGTERM')
        expect(await ended).toBe(0)
        await network.hub('remove', 'grace')
      })

      test('leaving takes keys and file away, and tells the hub', async () => {
        const dave = await network.addNode(internet.addSite('open'), 'dave')
        const conf = join(internet.directory, `${dave.interfaceName}.conf`)
        await dave.overlay('leave', conf)
        expect((await dave.try('check', conf)).stderr).toContain('there is no file')
        expect(await network.hub('nodes')).not.toContain('dave')
        expect(await network.hub('audit')).toMatch(/node\.left +dave/)
      })

      test('ten thousand half-open connections: the hub keeps its memory, and serves everybody else', async () => {
        const script = `
        const { connect } = require('node:net')
        const sockets = []
        let opened = 0
        const more = () => { for (let i = 0; i < 200 && opened < 10000; i++) { opened++; const s = connect(443, '203.0.113.1'); s.on('error', () => {}); sockets.push(s) } if (opened < 10000) setTimeout(more, 10); else setTimeout(() => process.exit(), 1500) }
        more()`
        const flood = internet.addSite('open').host.run([process.execPath, '-e', script])
        expect((await a.ping('bob', '--count', '2')).code).toBe(0)
        const erin = await network.addNode(internet.addSite('portRestricted'), 'erin')
        await flood
        const status = JSON.parse(await network.hub('status', '--json')) as {
          memoryBytes: number
          counters: Record<string, number>
        }
        expect(status.memoryBytes).toBeLessThan(300e6)
        expect(status.counters['connections.turnedAway']).toBeGreaterThan(1000)
        await network.hub('remove', erin.name)
      })

      test('a copy of the store is a store', async () => {
        const copy = join(internet.directory, 'copy.db')
        await network.hub('backup', copy)
        expect(statSync(copy).size).toBeGreaterThan(1000)
      })

      // The last one: an endpoint that is too narrow is not tried again for ten minutes.
      test('a path that swallows full packets is left for TCP, with the reason', async () => {
        await relayed()
        internet.setFault(siteA, 'narrow')
        await until('the reason is known', async () => {
          await a.ping('bob', '--count', '1')
          const { kind, code } = await a.why('bob')
          return kind === 'tcp' && code === 'PATH_NARROW'
        })
        const file = join(internet.directory, 'wide')
        writeFileSync(file, 'x'.repeat(200_000))
        const curl = [
          'curl',
          '-sS',
          '--http2-prior-knowledge',
          '--data-binary',
          `@${file}`,
          'http://bob.lab.overlay:8082/',
        ]
        expect((await a.site.host.run(curl)).stdout).toHaveLength(200_000)
      })
    })
  },
)

requirement('several relays', ['ip', 'nft', 'conntrack'], () => {
  test('when one dies, relayed links go on over another; known nodes link anew without a hub', async () => {
    const internet = await Internet.open({ rttMs: 20, lossPercent: 0 })
    try {
      const network = await LabNetwork.start(internet, { hasSecondRelay: true })
      const sites = [internet.addSite('portRestricted'), internet.addSite('portRestricted')] as const
      const a = await network.addNode(sites[0], 'alice')
      const b = await network.addNode(sites[1], 'bob')
      for (const site of sites) internet.setFault(site, 'serversOnly')
      await Promise.all([a.up(), b.up()])
      await a.untilKnown('bob')
      await until('the link is up', async () => (await a.ping('bob', '--count', '1')).code === 0)
      const { pid } = JSON.parse(await network.hub('status', '--json')) as { pid: number }
      process.kill(pid, 'SIGKILL')
      await until('it goes on', async () => (await a.ping('bob', '--count', '1')).code === 0)
      await Promise.all([a.down(), b.down()])
      for (const site of sites) internet.setFault(site, undefined)
      await Promise.all([a.up(), b.up()])
      await until('they link anew', async () => (await a.ping('bob', '--count', '1')).code === 0)
      await a.ping('bob', '--until-direct')
      expect(await a.overlay('status', a.interfaceName)).toMatch(/hub +(broken|connecting)/)
    } finally {
      internet.close()
    }
  })
})
