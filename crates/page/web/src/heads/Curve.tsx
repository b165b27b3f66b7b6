import type { Advice } from '../shapes.ts';
import { number, percent, t } from '../words.ts';

const WIDTH = 320;
const HEIGHT = 160;
const LEFT = 36;
const BOTTOM = 22;

/** Accuracy against the number of bursts, with its interval as a band and the target as a line. */
export function Curve({ advice }: { advice: Advice }) {
  const points = advice.curve;
  if (points.length < 2) {
    return null;
  }
  const last = points[points.length - 1];
  const most = (last?.bursts ?? 1) * (advice.doubled ? 2 : 1);
  const x = (bursts: number) => LEFT + (bursts / most) * (WIDTH - LEFT - 8);
  const y = (value: number) => 8 + (1 - value) * (HEIGHT - BOTTOM - 8);
  const line = points.map((point) => `${x(point.bursts)},${y(point.accuracy.value)}`).join(' ');
  const band = [
    ...points.map((point) => `${x(point.bursts)},${y(point.accuracy.high)}`),
    ...[...points].reverse().map((point) => `${x(point.bursts)},${y(point.accuracy.low)}`),
  ].join(' ');
  return (
    <figure class="curve">
      <svg viewBox={`0 0 ${WIDTH} ${HEIGHT}`} role="img" aria-label={text(advice)}>
        {[0, 0.5, 1].map((value) => (
          <g key={value}>
            <line class="grid" x1={LEFT} x2={WIDTH - 8} y1={y(value)} y2={y(value)} />
            <text x={LEFT - 6} y={y(value) + 4} class="end">
              {percent(value)}
            </text>
          </g>
        ))}
        <line class="target" x1={LEFT} x2={WIDTH - 8} y1={y(advice.target)} y2={y(advice.target)} />
        <polygon class="band" points={band} />
        <polyline class="path" points={line} />
        {points.map((point) => (
          <circle key={point.bursts} class="point" cx={x(point.bursts)} cy={y(point.accuracy.value)} r="3.5" />
        ))}
        {advice.doubled && last && (
          <>
            <line
              class="guess"
              x1={x(last.bursts)}
              y1={y(last.accuracy.value)}
              x2={x(most)}
              y2={y(advice.doubled.value)}
            />
            <line class="guess" x1={x(most)} x2={x(most)} y1={y(advice.doubled.low)} y2={y(advice.doubled.high)} />
          </>
        )}
        {[...new Set([0, ...points.map((point) => point.bursts), most])].map((bursts) => (
          <text key={bursts} x={x(bursts)} y={HEIGHT - 6} class="middle">
            {number(bursts)}
          </text>
        ))}
      </svg>
      <figcaption class="small quiet">{t('curve', { target: percent(advice.target) })}</figcaption>
    </figure>
  );
}

function text(advice: Advice): string {
  return advice.curve
    .map((point) => t('curve.point', { bursts: point.bursts, value: percent(point.accuracy.value) }))
    .join('; ');
}
