import { ConfigError, EXIT_CONFIG, type LoadedConfig, settingNames } from '../config/load.ts';
import { SECTIONS, SETTINGS, type SettingName } from '../config/settings.ts';

export const CONFIG_USAGE = `runcash-live config check   say whether the configuration can be used; exit 78 if not
runcash-live config print   every variable with its value, where that came from, its default, unit and meaning
runcash-live config env     a complete .env file with all defaults`;

/**
 * The `config` command. `load` reads the configuration (and may throw ConfigError); `print` gets whole lines.
 * Returns the exit code.
 */
export function runConfigCommand(
  args: readonly string[],
  load: () => LoadedConfig,
  print: (line: string) => void,
): number {
  const [action, ...rest] = args;
  if (rest.length > 0 || (action !== 'check' && action !== 'print' && action !== 'env')) {
    print(CONFIG_USAGE);
    return action === undefined || action === '--help' ? 0 : 2;
  }
  if (action === 'env') {
    print(envExample().trimEnd());
    return 0;
  }
  try {
    const loaded = load();
    for (const warning of loaded.warnings) print(`note: ${warning}`);
    if (action === 'print') print(describeConfig(loaded));
    else print('The configuration can be used.');
    return 0;
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error;
    for (const line of describeProblems(error)) print(line);
    return EXIT_CONFIG;
  }
}

/** A ConfigError as lines for a person. */
export const describeProblems = (error: ConfigError): string[] => [
  error.message,
  ...error.problems.map((problem) => `- ${problem}`),
  'runcash-live config print explains every variable.',
];

/** The text of `.env.example`: every variable with its explanation, unit and default. */
export function envExample(): string {
  const lines = [
    '# Copy this file to .env and change what you need. A variable that is set to nothing has its default, unless it says',
    '# otherwise. The real environment wins over .env. runcash-live config print shows what is in force and why.',
  ];
  for (const name of settingNames) {
    const section = SECTIONS[name];
    if (section !== undefined) lines.push('', `# --- ${section} ---`);
    const { about, unit, fallback } = SETTINGS[name];
    lines.push(`# ${about}${unit === '' ? '' : ` (${unit})`}`, `${name}=${fallback}`);
  }
  return `${lines.join('\n')}\n`;
}

function describeConfig(loaded: LoadedConfig): string {
  const lines: string[] = [];
  for (const name of settingNames) {
    const section = SECTIONS[name];
    if (section !== undefined) lines.push(...(lines.length === 0 ? [] : ['']), `${section}`);
    const { about, unit, fallback } = SETTINGS[name];
    const source = loaded.sources[name];
    const origin = source === 'default' ? 'default' : `from ${source}; default ${fallback === '' ? 'none' : fallback}`;
    lines.push(
      `  ${name} = ${shownValue(loaded, name)}   [${origin}]`,
      `      ${about}${unit === '' ? '' : ` (${unit})`}`,
    );
  }
  return lines.join('\n');
}

function shownValue(loaded: LoadedConfig, name: SettingName): string {
  const value = loaded.config[name];
  if (value === null || (Array.isArray(value) && value.length === 0)) return '(not set)';
  if (name === 'ALERT_WEBHOOK_URL') return `${new URL(String(value)).origin}/... (set, rest hidden)`;
  if (SETTINGS[name].secret) return '(set, hidden)';
  return Array.isArray(value) ? value.join(',') : String(value);
}
