// The programs of examples/, built beside the binary under test.
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { dirname, join } from 'node:path'
import { createInterface } from 'node:readline'
import { binary, freePort, temporaryFolder } from './network.mjs'

/** Starts one; answers with the address it prints. It gets a port and a database. */
export async function startExample(t, name) {
  const program = spawn(join(dirname(binary), 'examples', name, name), [String(await freePort()), join(await temporaryFolder(t), 'app.db')], {
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  await once(program, 'spawn')
  const ended = once(program, 'exit')
  t.after(async () => {
    program.kill('SIGTERM')
    await ended
  })
  const [line] = await once(createInterface({ input: program.stdout }), 'line')
  return line
}
