import { useLayoutEffect, useRef } from "preact/hooks";
import { Icon } from "../components/icon";
import { Star } from "../components/icons";
import { starsWords } from "../lib/format";

interface StarsProps {
  rating: number;
  label: string;
  onRate: (rating: number) => void;
  /** Whether Tab stops at it. */
  isStop?: boolean;
}

const STARS = [1, 2, 3, 4, 5];
const STEPS: Record<string, number> = { ArrowLeft: -1, ArrowDown: -1, ArrowRight: 1, ArrowUp: 1 };

/** One to five stars; a press on the last one takes them away again. */
export function Stars({ rating, label, onRate, isStop = true }: StarsProps) {
  const group = useRef<HTMLDivElement>(null);
  const stop = Math.max(1, rating);
  // The focus goes along with the arrow keys.
  useLayoutEffect(() => {
    const on = document.activeElement;
    if (on !== group.current && group.current!.contains(on))
      group.current!.querySelectorAll<HTMLElement>("button")[stop - 1]!.focus({ preventScroll: true });
  }, [stop]);
  return (
    <div
      ref={group}
      class="stars"
      role="radiogroup"
      aria-label={label}
      onKeyDown={(event) => {
        const step = STEPS[event.key];
        if (step === undefined || event.ctrlKey || event.metaKey || event.altKey) return;
        // Not also for the grid or the viewer below.
        event.preventDefault();
        const next = Math.min(5, Math.max(0, rating + step));
        if (next !== rating) onRate(next);
      }}
    >
      {STARS.map((star) => (
        <button
          key={star}
          type="button"
          role="radio"
          aria-checked={star === rating}
          aria-label={starsWords(star)}
          title={star === rating ? "Remove the rating (0)" : `${starsWords(star)} (${star})`}
          class={star <= rating ? "on" : ""}
          tabIndex={isStop && star === stop ? 0 : -1}
          // A press leaves the focus where it is: the arrows then still lead from photo to photo.
          onMouseDown={(event) => event.preventDefault()}
          onClick={() => onRate(star === rating ? 0 : star)}
        >
          <Icon of={Star} />
        </button>
      ))}
    </div>
  );
}
