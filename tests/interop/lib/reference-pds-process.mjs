// The reference PDS in a process of its own (see reference-pds.mjs). What it is told is in the environment.
import { PDS } from '@atproto/pds'

process.on('disconnect', () => process.exit())
await PDS.run({ onStarted: () => process.send({ ready: true }) }) // until SIGTERM
process.exit()
