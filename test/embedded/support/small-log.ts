import { startEmbeddedMongo } from '../../../src/embedded/server.ts';

/** The server with a log that is replaced all the time: `DIR`. It ends only by being killed. */
const [dataDir = ''] = process.argv.slice(2);
const { uri } = await startEmbeddedMongo({ dataDir, compactAboveMb: 0.25, oplogSizeMb: 256 });
console.log(`listening ${uri}`);
