import { aggregate } from './aggregate.ts';
import type { Command } from './command.ts';
import { deleteCommand } from './delete.ts';
import { find } from './find.ts';
import { getMore, killCursors } from './getmore.ts';
import { hello, isMaster, ismaster, ping } from './handshake.ts';
import { insert } from './insert.ts';
import { update } from './update.ts';

const COMMANDS: readonly Command[] = [
  aggregate,
  deleteCommand,
  find,
  getMore,
  hello,
  insert,
  isMaster,
  ismaster,
  killCursors,
  ping,
  update,
];

/** Every command that this server knows, by its exact name. */
export const commandTable: ReadonlyMap<string, Command> = new Map(COMMANDS.map((command) => [command.name, command]));
