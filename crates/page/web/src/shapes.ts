// What the daemon says, as far as the page reads it. The full shapes are in docs/reference.

export interface Fault {
  code: string;
  message: string;
  retryable: boolean;
  detail?: Record<string, unknown>;
}

export interface Reply {
  status: 'ok' | 'accepted' | 'error';
  data?: Record<string, unknown>;
  error?: Fault;
  job?: string;
}

export interface Interval {
  value: number;
  low: number;
  high: number;
}

export interface Advice {
  next: 'head_is_enough' | 'more_labels' | 'fine_tune';
  classes?: string[];
  curve: { accuracy: Interval; bursts: number; samples: number }[];
  doubled?: Interval | null;
  accuracy?: Interval | null;
  suspects: number;
  target: number;
}

export interface HeadState {
  version: number;
  classes: string[];
  accuracy?: Interval | null;
  balanced_accuracy?: Interval | null;
  bursts: number;
  samples: number;
  method: string;
  missing?: string | null;
  pinned: boolean;
}

export interface DeviceState {
  mode: 'starting' | 'infer' | 'adapt' | 'pause' | 'degraded';
  wanted: 'infer' | 'adapt' | 'pause';
  reasons: string[];
  clock: 'synced' | 'unsynced';
  uptime_ms: number;
  boot_id: string;
  job: string | null;
  head: HeadState | null;
  backbone: { name: string; digest: string } | null;
  advice?: Advice;
  adaptation: { phase: string; new_samples: number; needed: number; waiting_for?: string | null };
  dataset: {
    rev: number;
    classes: string[];
    counts: Record<string, number>;
    bursts: Record<string, number>;
    bytes: number;
    set_aside?: number;
  };
  drift?: { verdict: string; class?: string; fault?: string; since: string };
}

export interface Capture {
  class: string;
  burst: string;
  kept: number;
  skipped: number;
  seconds: number;
}

export interface Status extends DeviceState {
  device: string;
  version: string;
  camera?: { description?: string; source?: string } | null;
  capture?: Capture | null;
  frame?: { age_ms: number; id: number } | null;
  mqtt?: unknown;
}

export interface Prediction {
  frame: number;
  head: number;
  label?: string | null;
  score?: number;
  unknown?: number;
  why?: string;
  top: { class: string; score: number }[];
  age_ms?: number;
  infer_ms?: number;
  ts: string;
}

export interface Metrics {
  accuracy: Interval | null;
  balanced_accuracy: Interval | null;
  bursts: number;
  samples: number;
  classes: Record<string, { bursts: number; recall: number | null; samples: number }>;
  confusion: number[][];
  missing?: string | null;
  advice?: Advice;
  method: string;
}

export interface Job {
  id: string;
  op: string;
  status: 'init' | 'executing' | 'successful' | 'failed' | 'canceled';
  step?: string;
  progress?: { done: number; total: number; eta_s?: number };
  metrics?: Partial<Metrics> & Record<string, unknown>;
  result?: Record<string, unknown>;
  error?: Fault;
  by?: string;
  ts?: string;
}

export interface Happening {
  ts: string;
  type: string;
  error?: Fault;
  data?: Record<string, unknown>;
}

export interface Stats {
  fps?: number;
  camera_fps?: number;
  cpu_percent?: number;
  temperature_c?: number;
  throttled?: boolean;
  disk_free_bytes?: number;
  written_bytes?: number;
  rss_bytes?: number;
  infer_ms?: { p50: number; p95: number };
}

export interface HeadRow {
  version: number;
  active: boolean;
  accuracy: Interval | null;
  classes: string[];
  created: string;
  promoted: string | null;
  gate: string | null;
  has_file: boolean;
  method: string;
  restored_from: number | null;
}

export interface Heads {
  active: number | null;
  previous: number | null;
  pinned: boolean | number | null;
  heads: HeadRow[];
}

export interface HeadDetail extends HeadRow {
  metrics: Metrics;
}

export interface Sample {
  id: number;
  class: string;
  burst: string;
  taken: string;
  source?: string;
  by?: string;
  frame?: number;
  said?: string;
  margin?: number;
}

export interface Burst {
  burst: string;
  class: string;
  samples: number;
  first: number;
  ids: number[];
  taken: string;
  suspect: number;
}

export interface View {
  frame: { width: number; height: number } | null;
  region: number[] | null;
  shows: number[] | null;
  part: number;
  crop: string;
  changeable?: boolean;
}

export interface RingFrame {
  frame: number;
  ts: string;
  age_ms: number;
  sample: number | null;
  class: string | null;
}

export interface Session {
  role: 'admin' | 'viewer' | 'none';
  login: boolean;
  device?: string;
  version?: string;
}

export interface HeldOut {
  head: number | null;
  rows: { id: number; class: string; said: string; confidence?: number }[];
}
