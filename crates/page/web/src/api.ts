// Requests to the daemon, all of them below `api/v1`, with the header that other sites cannot send.
import type { Fault, Reply } from './shapes.ts';

export const base = 'api/v1';

/** Why a request was not carried out: the daemon's error, or that it cannot be reached. */
export class Refused extends Error {
  constructor(
    readonly status: number,
    readonly fault: Fault,
  ) {
    super(fault.message);
  }
}

const unreachable: Fault = { code: 'unreachable', message: 'the daemon does not answer', retryable: true };

async function send(path: string, init: RequestInit): Promise<Response> {
  let response: Response;
  try {
    response = await fetch(`${base}/${path}`, { ...init, headers: { 'X-Graft': '1', ...init.headers } });
  } catch {
    throw new Refused(0, unreachable);
  }
  if (!response.ok) {
    throw new Refused(response.status, await faultOf(response));
  }
  return response;
}

async function faultOf(response: Response): Promise<Fault> {
  try {
    const reply = (await response.json()) as Reply;
    if (reply.error) {
      return reply.error;
    }
  } catch {
    // Not JSON: something between page and daemon answered.
  }
  return { code: 'internal', message: `${response.status} ${response.statusText}`, retryable: response.status >= 500 };
}

export async function get<T>(path: string, query: Record<string, string | number | undefined> = {}): Promise<T> {
  const pairs = Object.entries(query).filter(([, value]) => value !== undefined);
  const text = new URLSearchParams(pairs.map(([name, value]) => [name, String(value)])).toString();
  return (await send(text ? `${path}?${text}` : path, {})).json() as Promise<T>;
}

/** A command, the same as over MQTT. */
export async function command(op: string, body: object | string): Promise<Reply> {
  const text = typeof body === 'string' ? body : JSON.stringify(body);
  return (await send(`cmd/${op}`, { method: 'POST', body: text })).json() as Promise<Reply>;
}

/** A file or a form, with how much of it has gone. */
export function upload(path: string, body: Blob, progress?: (part: number) => void): Promise<Reply> {
  return new Promise((resolve, reject) => {
    const request = new XMLHttpRequest();
    request.open('POST', `${base}/${path}`);
    request.setRequestHeader('X-Graft', '1');
    request.responseType = 'text';
    request.upload.onprogress = (event) => {
      progress?.(event.lengthComputable && event.total > 0 ? event.loaded / event.total : 0);
    };
    request.onerror = () => {
      reject(new Refused(0, unreachable));
    };
    request.onload = () => {
      let reply: Reply = { status: 'error' };
      try {
        reply = JSON.parse(request.responseText) as Reply;
      } catch {
        // Not JSON: told by its status below.
      }
      if (request.status >= 200 && request.status < 300) {
        resolve(reply);
      } else {
        const message = `${request.status} ${request.statusText}`;
        reject(new Refused(request.status, reply.error ?? { code: 'internal', message, retryable: false }));
      }
    };
    request.send(body);
  });
}

export async function post<T>(path: string, body: object | Blob): Promise<T> {
  const whole = body instanceof Blob ? body : JSON.stringify(body);
  const response = await send(path, { method: 'POST', body: whole });
  return (await response.json().catch(() => ({}))) as T;
}

export const picture = (sample: number) => `${base}/samples/${sample}/image`;
