import { useEffect, useRef } from 'preact/hooks';

/** A bar from 0 to 1. Its length is set through the style object, as the policy of the page allows no style attributes. */
export function Bar({ part, class: style = '' }: { part: number; class?: string }) {
  const fill = useRef<HTMLDivElement>(null);
  useEffect(() => {
    fill.current?.style.setProperty('transform', `scaleX(${Math.min(1, Math.max(0, part))})`);
  }, [part]);
  return (
    <div class={`bar ${style}`} aria-hidden="true">
      <div ref={fill} />
    </div>
  );
}
