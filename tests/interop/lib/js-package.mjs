// clients/js as somebody has it who installed it: what `npm pack` makes, in a project with better-auth.
import { execFile } from 'node:child_process'
import { cp, mkdir, symlink, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { temporaryFolder } from './network.mjs'

const here = join(dirname(fileURLToPath(import.meta.url)), '..')
const run = promisify(execFile)

export const packageName = 'latchkey-auth-client'

/** The folder of the project. */
export async function projectWithClient(t) {
  const project = await temporaryFolder(t)
  const installed = join(project, 'node_modules', packageName)
  await mkdir(installed, { recursive: true })
  const { stdout } = await run('npm', ['pack', '--json', '--pack-destination', project, join(here, '../../clients/js')])
  const [{ filename }] = JSON.parse(stdout)
  await run('tar', ['-xzf', join(project, filename), '-C', installed, '--strip-components=1'])
  await symlink(join(here, 'node_modules/better-auth'), join(project, 'node_modules/better-auth'))
  await writeFile(join(project, 'package.json'), '{"private": true, "type": "module"}')
  return project
}

/** The package as the program of that project imports it. */
export const imported = (project) => import(join(project, 'node_modules', packageName, 'index.js'))

/** What the compiler of TypeScript says about a file of types/ in that project, and about the package's own types: "" is praise. */
export async function complaints(project, file) {
  await cp(join(here, 'types', file), join(project, file))
  // Its declarations as a source, because the compiler is told to trust what others declare.
  await cp(join(project, 'node_modules', packageName, 'index.d.ts'), join(project, 'declarations.ts'))
  await writeFile(
    join(project, 'tsconfig.json'),
    JSON.stringify({
      compilerOptions: {
        strict: true,
        exactOptionalPropertyTypes: true,
        noEmit: true,
        target: 'es2022',
        module: 'nodenext',
        lib: ['es2022', 'dom'],
        types: [],
        skipLibCheck: true,
      },
      files: [file, 'declarations.ts'],
    }),
  )
  return run(process.execPath, [join(here, 'node_modules/typescript/bin/tsc'), '-p', project]).then(
    ({ stdout }) => stdout,
    (error) => error.stdout || String(error),
  )
}
