import { aggregate } from './aggregate.ts';
import { bulkWrite } from './bulk-write.ts';
import { collMod, create, drop, dropDatabase, renameCollection } from './collections.ts';
import { type Command, fields } from './command.ts';
import { count, distinct } from './count.ts';
import { currentOp, killOp } from './current-op.ts';
import { deleteCommand } from './delete.ts';
import {
  buildInfoCommand,
  buildinfo,
  connectionStatus,
  getCmdLineOpts,
  getDefaultRWConcern,
  getLog,
  hostInfo,
  replSetGetConfig,
  replSetGetStatus,
  replSetInitiate,
  serverStatus,
  whatsmyuri,
} from './diagnostics.ts';
import { explain } from './explain.ts';
import { find } from './find.ts';
import { findAndModify, findandmodify } from './find-and-modify.ts';
import { getMore, killCursors } from './get-more.ts';
import { hello, isMaster, ismaster, ping } from './handshake.ts';
import { createIndexes, deleteIndexes, dropIndexes, listIndexes } from './indexes.ts';
import { insert } from './insert.ts';
import { collStats, collstats, dbStats, dbstats, listCollections, listDatabases } from './listing.ts';
import { getParameter, setParameter } from './parameters.ts';
import { logout, saslContinue, saslStart } from './sasl.ts';
import {
  abortTransaction,
  commitTransaction,
  endSessions,
  killAllSessions,
  killSessions,
  refreshSessions,
  startSession,
} from './session-commands.ts';
import { configureFailPoint, replSetStepDown, runcashTestCutOplog } from './testing.ts';
import { update } from './update.ts';
import { createUser, dropUser, grantRolesToUser, revokeRolesFromUser, updateUser, usersInfo } from './users.ts';
import { validate } from './validate.ts';

const listCommands: Command = {
  name: 'listCommands',
  fields: fields(),
  always: true,
  run: () => ({
    commands: Object.fromEntries(
      COMMANDS.map(({ name, adminOnly = false }) => [name, { help: '', requiresAuth: false, adminOnly }]),
    ),
  }),
};

const COMMANDS: readonly Command[] = [
  abortTransaction,
  aggregate,
  buildInfoCommand,
  buildinfo,
  bulkWrite,
  collMod,
  collStats,
  collstats,
  commitTransaction,
  configureFailPoint,
  connectionStatus,
  count,
  create,
  createIndexes,
  createUser,
  currentOp,
  dbStats,
  dbstats,
  deleteCommand,
  deleteIndexes,
  distinct,
  drop,
  dropDatabase,
  dropIndexes,
  dropUser,
  endSessions,
  explain,
  find,
  findAndModify,
  findandmodify,
  getCmdLineOpts,
  getDefaultRWConcern,
  getLog,
  getMore,
  getParameter,
  grantRolesToUser,
  hello,
  hostInfo,
  insert,
  isMaster,
  ismaster,
  killAllSessions,
  killCursors,
  killOp,
  killSessions,
  listCollections,
  listCommands,
  listDatabases,
  listIndexes,
  logout,
  ping,
  refreshSessions,
  renameCollection,
  replSetGetConfig,
  replSetGetStatus,
  replSetInitiate,
  replSetStepDown,
  revokeRolesFromUser,
  runcashTestCutOplog,
  saslContinue,
  saslStart,
  serverStatus,
  setParameter,
  startSession,
  update,
  updateUser,
  usersInfo,
  validate,
  whatsmyuri,
];

/** Every command that this server knows, by its exact name. */
export const commandTable: ReadonlyMap<string, Command> = new Map(COMMANDS.map((command) => [command.name, command]));
