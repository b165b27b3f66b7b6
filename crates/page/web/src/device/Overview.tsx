import { device, now, state, stats, status } from '../board.ts';
import { Learning, States } from '../camera/States.tsx';
import { bytes, many, number, t } from '../words.ts';
import { Look } from './Look.tsx';

export function Overview() {
  const board = state.value;
  const figures = stats.value;
  const rows: [string, string | undefined][] = [
    [t('fact.device'), device.value],
    [t('fact.version'), status.value?.version],
    [t('fact.camera'), status.value?.camera?.description],
    [t('fact.backbone'), board?.backbone?.name ?? t('fact.backbone.none')],
    [t('fact.mqtt'), status.value?.mqtt === null ? t('fact.mqtt.off') : mqtt(status.value?.mqtt)],
    [t('fact.samples'), board ? `${bytes(board.dataset.bytes)}` : undefined],
    [t('fact.free'), figures?.disk_free_bytes === undefined ? undefined : bytes(figures.disk_free_bytes)],
    [t('fact.written'), figures?.written_bytes === undefined ? undefined : bytes(figures.written_bytes)],
    [t('fact.cpu'), figures?.cpu_percent === undefined ? undefined : `${number(figures.cpu_percent)} %`],
    [t('fact.heat'), figures?.temperature_c === undefined ? undefined : `${number(figures.temperature_c)} °C`],
    [t('fact.memory'), figures?.rss_bytes === undefined ? undefined : bytes(figures.rss_bytes)],
    [t('fact.speed'), figures?.infer_ms === undefined ? undefined : t('figures.ms', { ms: number(figures.infer_ms.p95, 1) })],
    [t('fact.uptime'), board ? uptime(board.uptime_ms) : undefined],
  ];
  void now.value;
  return (
    <div class="columns">
      <div class="column">
        <States />
        <section class="card">
          <h2>{t('device.facts')}</h2>
          <dl class="facts">
            {rows.map(([name, value]) =>
              value === undefined ? null : (
                <div key={name}>
                  <dt>{name}</dt>
                  <dd>{value}</dd>
                </div>
              ),
            )}
          </dl>
        </section>
      </div>
      <div class="column">
        <Learning />
        <Look />
      </div>
    </div>
  );
}

function uptime(ms: number): string {
  const minutes = Math.floor(ms / 60_000);
  if (minutes < 120) {
    return many('time.minutes', minutes);
  }
  const hours = Math.floor(minutes / 60);
  return hours < 48 ? many('time.hours', hours) : many('time.days', Math.floor(hours / 24));
}

function mqtt(told: unknown): string | undefined {
  const connected = (told as { connected?: boolean } | undefined)?.connected;
  return connected === undefined ? undefined : t(connected ? 'fact.mqtt.on' : 'fact.mqtt.lost');
}
