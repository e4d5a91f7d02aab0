import { Binary, type Document, UUID } from 'bson';
import { authorize } from '../auth/authorize.ts';
import { isRole, ROLE_NAMES } from '../auth/roles.ts';
import { credentialOf, MECHANISMS } from '../auth/scram.ts';
import { type GrantedRole, type User, userId } from '../auth/users.ts';
import { CODES } from '../codes.ts';
import { badValue, CommandError } from '../errors.ts';
import { checkDatabase } from '../storage/catalog.ts';
import { isDocument } from '../values/types.ts';
import { type Command, type CommandContext, fields } from './command.ts';
import { missingField, optionalBoolean, optionalDocument, optionalString, wrongType } from './fields.ts';

const notFound = (user: string, db: string): CommandError =>
  new CommandError(CODES.UserNotFound, `User '${user}@${db}' not found`);

/** The user that the command's own field names. @throws CommandError 2, 73 */
function nameOf({ body, db }: CommandContext, command: string): { readonly user: string; readonly db: string } {
  const user: unknown = body[command];
  if (typeof user !== 'string' || user === '') throw badValue("User document needs 'user' field to be non-empty");
  checkDatabase(db);
  return { user, db };
}

function existing(context: CommandContext, command: string): User {
  const name = nameOf(context, command);
  const user = context.engine.users.find(name);
  if (user === undefined) throw notFound(name.user, name.db);
  return user;
}

/** `'read'` or `{role: 'read', db: 'shop'}`. @throws CommandError 31 RoleNotFound, 14 */
function rolesOf({ body, db }: CommandContext, field: string): GrantedRole[] {
  const given: unknown = body[field];
  if (!Array.isArray(given)) throw wrongType(field, given, 'array');
  return given.map((one: unknown) => {
    const named = isDocument(one) ? { role: String(one['role']), db: String(one['db']) } : { role: String(one), db };
    if (!isRole(named)) {
      const words = `Could not find role: ${named.role}@${named.db}. This server has ${ROLE_NAMES.join(', ')}`;
      throw new CommandError(CODES.RoleNotFound, words);
    }
    return named;
  });
}

/** For every mechanism. @throws CommandError 2, 40414 */
async function credentialsOf(body: Document, user: string): Promise<Document> {
  const password = optionalString(body, 'pwd');
  if (password === undefined) throw missingField('createUser.pwd');
  if (password === '') throw badValue('Password cannot be empty');
  if (optionalBoolean(body, 'digestPassword') === false) throw badValue('Passwords are digested by this server alone');
  const credentials: Document = {};
  for (const mechanism of MECHANISMS) credentials[mechanism] = await credentialOf(mechanism, user, password);
  return credentials;
}

function userCommand(name: string, own: readonly string[], run: Command['run']): Command {
  return { name, fields: fields(...own), unknownField: 40415, writes: true, writeConcern: true, run };
}

const SET = ['pwd', 'roles', 'customData', 'digestPassword'];

export const createUser = userCommand('createUser', SET, async (context) => {
  const { engine, connection, body } = context;
  const name = nameOf(context, 'createUser');
  const roles = rolesOf(context, 'roles');
  const credentials = await credentialsOf(body, name.user);
  // Again: another may have made the first user while this one's credentials were computed.
  authorize(engine, connection, { ...context, name: 'createUser' });
  if (engine.users.find(name) !== undefined)
    throw new CommandError(51_003, `User "${name.user}@${name.db}" already exists`);
  const customData = optionalDocument(body, 'customData');
  const id = { _id: userId(name), userId: new Binary(new UUID().buffer, Binary.SUBTYPE_UUID) };
  engine.users.put(name, { ...id, ...name, credentials, ...(customData && { customData }), roles });
  return {};
});

export const updateUser = userCommand('updateUser', SET, async (context) => {
  const { engine, body } = context;
  const name = nameOf(context, 'updateUser');
  const changes: Document = {};
  if (body['pwd'] !== undefined) changes['credentials'] = await credentialsOf(body, name.user);
  if (body['roles'] !== undefined) changes['roles'] = rolesOf(context, 'roles');
  if (body['customData'] !== undefined) changes['customData'] = optionalDocument(body, 'customData');
  const { document } = existing(context, 'updateUser');
  engine.users.put(name, { ...document, ...changes });
  return {};
});

export const dropUser = userCommand('dropUser', [], (context) => {
  const name = nameOf(context, 'dropUser');
  if (!context.engine.users.remove(name)) throw notFound(name.user, name.db);
  return {};
});

const isSame = (a: GrantedRole) => (b: GrantedRole) => a.role === b.role && a.db === b.db;

function changeRoles(
  name: string,
  change: (now: readonly GrantedRole[], named: readonly GrantedRole[]) => readonly GrantedRole[],
): Command {
  return userCommand(name, ['roles'], (context) => {
    const user = existing(context, name);
    const roles = change(user.roles, rolesOf(context, 'roles'));
    context.engine.users.put(user, { ...user.document, roles });
    return {};
  });
}

export const grantRolesToUser = changeRoles('grantRolesToUser', (now, named) => [
  ...now,
  ...named.filter((one) => !now.some(isSame(one))),
]);
export const revokeRolesFromUser = changeRoles('revokeRolesFromUser', (now, named) =>
  now.filter((one) => !named.some(isSame(one))),
);

/** `1` for all of the database, a name, `{user, db}`, `{forAllDBs: true}`, or a list of names. */
function isAsked(wanted: unknown, user: User, db: string): boolean {
  if (Array.isArray(wanted)) return wanted.some((one: unknown) => isAsked(one, user, db));
  if (typeof wanted === 'string') return user.user === wanted && user.db === db;
  if (isDocument(wanted))
    return wanted['forAllDBs'] === true || (wanted['user'] === user.user && wanted['db'] === user.db);
  return user.db === db;
}

/** Never with credentials. */
export const usersInfo: Command = {
  name: 'usersInfo',
  fields: fields(),
  unknownField: 40415,
  run({ engine, body, db }) {
    const users = engine.users.all().filter((user) => isAsked(body['usersInfo'], user, db));
    return {
      users: users.map(({ document: { credentials: _credentials, ...shown } }) => ({
        ...shown,
        mechanisms: MECHANISMS,
      })),
    };
  },
};
