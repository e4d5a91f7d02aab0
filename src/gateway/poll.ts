import type { TemplatedApp } from 'uWebSockets.js';
import type { GatewayParts } from './parts.ts';
export function servePoll(_app: TemplatedApp, _parts: GatewayParts): void {}
