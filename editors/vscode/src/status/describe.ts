/** What `midline/statusChanged` says, as people read it. No VS Code here: texts come in through `say`. */

export type EngineState = 'starting' | 'ready' | 'busy' | 'restarting' | 'failed' | 'disabled';

export interface Status {
  readonly engine: {
    readonly state: EngineState;
    readonly detail?: string;
    readonly cure?: string;
    /** 0 to 1. */
    readonly progress?: number;
    readonly model?: string | null;
    readonly pid?: number | null;
  };
  readonly index?: { readonly state: string; readonly files?: number; readonly pending?: number; readonly detail?: string };
  readonly completion?: Record<string, unknown>;
  readonly chat?: { readonly state?: string };
  readonly memory?: { readonly engine_bytes?: number; readonly server_bytes?: number };
}

/** What the extension itself knows of its server. */
export type Server =
  | { readonly state: 'missing' | 'crashed' | 'mismatch'; readonly message: string }
  | { readonly state: 'stopped' | 'starting' | 'running' };

/** What the user has switched off here. */
export interface Switches {
  readonly enabled: boolean;
  readonly language: boolean;
  /** Milliseconds left; 0 when not snoozing. */
  readonly snoozed: number;
}

export interface Shown {
  readonly text: string;
  readonly level: 'normal' | 'warning' | 'error';
  /** Lines of the hover; a pair is a row of the table. */
  readonly heading: string;
  readonly rows: readonly (readonly [string, string])[];
  /** What is wrong and what to do about it; empty when all is well. */
  readonly cure: string;
}

type Say = (message: string, ...values: (string | number)[]) => string;

/**
 * The status-bar item for a state of affairs.
 *
 * @param folder the name of the server's folder, where there are others.
 */
export function describe(server: Server, status: Status | undefined, switches: Switches, say: Say, folder?: string): Shown {
  const shown = ofServer(server, status, switches, say);
  return folder === undefined ? shown : { ...shown, rows: [[say('Folder'), folder], ...shown.rows] };
}

function ofServer(server: Server, status: Status | undefined, switches: Switches, say: Say): Shown {
  if ('message' in server) {
    return { text: '$(error) midline', level: 'error', heading: server.message, rows: [], cure: server.message };
  }
  if (server.state === 'stopped') {
    return plain('$(circle-slash) midline', say('midline is not running'));
  }
  if (server.state === 'starting' || !status) {
    return plain('$(loading~spin) midline', say('midline is starting'));
  }
  return { ...ofEngine(status, switches, say), rows: figures(status, say) };
}

function plain(text: string, heading: string): Shown {
  return { text, level: 'normal', heading, rows: [], cure: '' };
}

function ofEngine(status: Status, switches: Switches, say: Say): Omit<Shown, 'rows'> {
  const { state, detail = '', cure = '', progress = 0 } = status.engine;
  const why = [detail, cure].filter(Boolean).join(' ');
  const normal = { level: 'normal', cure: '' } as const;
  if (state === 'starting' || state === 'restarting') {
    const percent = progress > 0 ? ` ${Math.round(progress * 100)}%` : '';
    const heading = state === 'restarting' ? say('The engine is being started again') : say('The model is being loaded');
    return { ...normal, text: `$(loading~spin) midline${percent}`, heading: detail ? `${heading}: ${detail}` : heading };
  }
  if (!switches.enabled) {
    return { ...normal, text: '$(circle-slash) midline', heading: say('Suggestions are switched off') };
  }
  if (state === 'failed') {
    return { text: '$(error) midline', level: 'error', heading: why || say('The engine has failed'), cure: why };
  }
  if (state === 'disabled') {
    return { text: '$(warning) midline', level: 'warning', heading: why || say('There is no engine'), cure: why };
  }
  if (switches.snoozed > 0) {
    const minutes = Math.max(1, Math.ceil(switches.snoozed / 60_000));
    return { ...normal, text: `$(bell-slash) midline ${say('{0} min', minutes)}`, heading: say('Suggestions are snoozed') };
  }
  if (!switches.language) {
    return { ...normal, text: '$(circle-slash) midline', heading: say('Suggestions are off in this language') };
  }
  if (state === 'busy') {
    return { ...normal, text: '$(sync~spin) midline', heading: say('The model is working') };
  }
  if (status.index?.state === 'busy') {
    return { ...normal, text: '$(sync~spin) midline', heading: say('Ready; the workspace is being indexed') };
  }
  return { ...normal, text: '$(check) midline', heading: say('Ready') };
}

function figures(status: Status, say: Say): [string, string][] {
  const counts = status.completion ?? {};
  const number = (name: string): number => (typeof counts[name] === 'number' ? (counts[name] as number) : 0);
  const rows: [string, string][] = [];
  if (status.engine.model) {
    rows.push([say('Model'), status.engine.model]);
  }
  const requests = number('requests');
  if (requests > 0) {
    rows.push([say('Tokens computed per request'), (number('tokens_evaluated') / requests).toFixed(1)]);
  }
  if (typeof counts.p50_ms === 'number') {
    rows.push([say('Time of a suggestion'), say('{0} ms median, {1} ms p95', Math.round(number('p50_ms')), Math.round(number('p95_ms')))]);
  }
  if (number('shown') > 0) {
    const share = Math.round((100 * number('accepted')) / number('shown'));
    rows.push([say('Accepted'), say('{0} of {1} ({2}%)', number('accepted'), number('shown'), share)]);
  }
  const bytes = (status.memory?.engine_bytes ?? 0) + (status.memory?.server_bytes ?? 0);
  if (bytes > 0) {
    rows.push([say('Memory'), `${(bytes / 1e9).toFixed(2)} GB`]);
  }
  const index = status.index;
  if (index && index.state !== 'disabled') {
    const files = index.files ?? 0;
    const told = index.state === 'busy' || index.state === 'paused' ? say('{0} files, {1} to come', files, index.pending ?? 0) : say('{0} files', files);
    rows.push([say('Index'), index.detail && index.state !== 'ready' ? `${told} (${index.detail})` : told]);
  }
  return rows;
}

/** The command for a terminal that a cure names (`midline model pull NAME`); undefined if it names none. */
export function commandIn(cure: string): string | undefined {
  const match = /\bmidline (model (?:pull|add|verify)(?: \w[\w./-]*)?|doctor)/.exec(cure);
  return match?.[1]?.replace(/\.$/, '');
}
