// Questions to the model: one at a time; while one is out, only the newest other one is kept.
const WAIT = 20_000; // ms without a word until an answer is called lost
export const LOST = "No answer came: the Space is busy, or the connection is lost. Change something to ask again.";

/** `send(number, quick)` asks; `onBusy(busy)` and `onLost()` are called as it goes. */
export function makeAsking({ send, onBusy, onLost }) {
  let number = 0;
  let timer = null;
  let pending = null;
  let awaitsOwn = true;

  function wait() {
    clearTimeout(timer);
    timer = setTimeout(() => {
      settle();
      onLost();
      askPending();
    }, WAIT);
  }

  function ask(quick = false) {
    if (timer) return void (pending = { quick: quick && pending?.quick !== false });
    number += 1;
    awaitsOwn = false;
    onBusy(true);
    wait();
    send(number, quick);
  }

  function askPending() {
    if (!pending || timer) return;
    const { quick } = pending;
    pending = null;
    ask(quick);
  }

  function settle() {
    clearTimeout(timer);
    timer = null;
    onBusy(false);
  }

  /** Take an answer; tell whether it is wanted still: it is of the newest question, or has no number and is of a
   * visitor's own picture that was chosen later. `whole` is false while it grows. */
  function answered(asked, whole) {
    const mine = asked === undefined || asked === null ? awaitsOwn : asked === number;
    if (mine && whole) settle();
    else if (mine && timer) wait();
    if (!timer) setTimeout(askPending); // not from here: Gradio still hands out this answer
    return mine;
  }

  /** Want no answer any more but that of a visitor's own picture, which is not asked for here. */
  function awaitOwn() {
    awaitsOwn = true;
    number += 1;
    pending = null;
    if (timer) settle();
  }

  /** Give up what is waited for, as nobody is there to answer. */
  function stop() {
    pending = null;
    if (!timer) return;
    settle();
    onLost();
  }
  return { ask, answered, awaitOwn, stop };
}
